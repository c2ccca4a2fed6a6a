/* A server with the Nth allocation, read, write or thread start failing: every request
 * gets an answer or a closed connection, no accepted job is lost, and afterwards all
 * is as before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "phonofilm.h"
#include "server/server.h"

enum { REPLY_BYTES = 1 << 18 };

static pf_engine *engine;
static pf_server *server;
static char folder[64];

static const pf_server_options plain = {
    .host = "127.0.0.1", .output_dir = folder, .max_queue = 4, .max_upload = 1 << 20,
    .connections = 32, .header_seconds = 5,
};

/* --- a very small client -------------------------------------------------------- */

/* The reply in `out`; its status, or 0 when the connection was closed without one. */
static int ask(const char *request, char *out)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)pf_server_port(server))};
    struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), status = 0;
    size_t have = 0;
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    for (;;) {
        ssize_t got = recv(fd, out + have, REPLY_BYTES - 1 - have, 0);
        if (got <= 0)
            break;
        have += (size_t)got;
    }
    out[have] = '\0';
    close(fd);
    sscanf(out, "HTTP/1.1 %d", &status);
    return status;
}

static int get(const char *path, char *out)
{
    char request[256];
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    return ask(request, out);
}

static int create(char *out)
{
    /* A PNG of 16x16 brown pixels is the first frame. */
    static const char body[] =
        "{\"prompt\":\"x\",\"size\":\"16x16\",\"num_frames\":1,"
        "\"num_inference_steps\":1,\"seed\":1,\"reference_url\":\"data:image/png;base64,"
        "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAFklEQVR42mNocFAgCTGMahjV"
        "MHw1AAB3KeABgCE/BAAAAABJRU5ErkJggg=="
        "\"}";
    char request[1024];
    snprintf(request, sizeof request,
             "POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             sizeof body - 1, body);
    return ask(request, out);
}

/* Until no video is on its way; how many there are, and how many failed. */
static void wait_for_all(char *out, int *videos, int *failed)
{
    double end = pf_seconds() + 60;
    do {
        while (get("/v1/videos?limit=100", out) != 200)     /* a fault may be for it */
            assert_true(pf_seconds() < end);
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    } while ((strstr(out, "\"queued\"") || strstr(out, "\"in_progress\"")) &&
             pf_seconds() < end);
    assert_null(strstr(out, "\"in_progress\""));
    *videos = *failed = 0;
    for (const char *at = out; (at = strstr(at, "\"object\":\"video\"")) != NULL; at++)
        ++*videos;
    for (const char *at = out; (at = strstr(at, "\"status\":\"failed\"")) != NULL; at++)
        ++*failed;
}

/* --- one round -------------------------------------------------------------------- */

/* Creates, waits, reads; true when the fault was met. */
static bool round_meets_fault(pf_fault_kind kind, int64_t nth, char *out)
{
    int before, failed_before, after, failed_after;
    wait_for_all(out, &before, &failed_before);
    pf_fault_arm(kind, nth, false);
    int status = create(out);
    if (status == 200) {
        /* Its film, unless the fault is for it. */
        double end = pf_seconds() + 30;
        while (pf_fault_count(kind) < nth && pf_seconds() < end) {
            get("/v1/videos?limit=1", out);
            if (strstr(out, "\"completed\"") || strstr(out, "\"failed\""))
                break;
        }
    }
    get("/metrics", out);
    get("/", out);
    wait_for_all(out, &after, &failed_after);
    bool met = pf_fault_count(kind) >= nth;
    pf_fault_arm(kind, 0, false);
    /* Accepted is accepted, refused is refused; a closed connection may be either. */
    if (status == 200)
        assert_int_equal(after, before + 1);
    else if (status != 0)
        assert_int_equal(after, before);
    assert_int_equal(failed_after, failed_before);      /* what is transient passes */
    return met;
}

static void delete_all(char *out)
{
    char id[64], request[256];
    for (;;) {
        assert_int_equal(get("/v1/videos?limit=1", out), 200);
        const char *at = strstr(out, "\"id\":\"");
        if (!at || sscanf(at, "\"id\":\"%60[^\"]", id) != 1)
            return;
        snprintf(request, sizeof request, "DELETE /v1/videos/%s HTTP/1.1\r\n"
                 "Host: localhost\r\nConnection: close\r\n\r\n", id);
        ask(request, out);
    }
}

static void fail_each(pf_fault_kind kind, int64_t growth)
{
    char *out = malloc(REPLY_BYTES);
    pf_error error = {0};
    assert_non_null(out);
    if (pf_server_open(&plain, engine, &server, &error) != PF_OK)
        fail_msg("%s", error.message);
    int rounds = 0;
    for (int64_t nth = 1; round_meets_fault(kind, nth, out); nth += 1 + nth / growth)
        rounds++;
    print_message("  kind %d: %d faults\n", (int)kind, rounds);
    assert_true(rounds > 0);
    delete_all(out);
    pf_server_close(server);
    free(out);
}

static void test_allocations(void **state)
{
    (void)state;
    fail_each(PF_FAULT_ALLOCATION, 5);
}

static void test_reads(void **state)
{
    (void)state;
    fail_each(PF_FAULT_READ, 4);
}

static void test_writes(void **state)
{
    (void)state;
    fail_each(PF_FAULT_WRITE, 4);
}

/* Opening fails with a sentence, or works; nothing is left running or allocated. */
static void test_opening(void **state)
{
    (void)state;
    for (int kind = 0; kind < PF_FAULT_KINDS; kind++) {
        for (int64_t nth = 1;; nth++) {
            pf_error error = {0};
            pf_fault_arm((pf_fault_kind)kind, nth, false);
            pf_status status = pf_server_open(&plain, engine, &server, &error);
            int64_t seen = pf_fault_count((pf_fault_kind)kind);
            pf_fault_arm((pf_fault_kind)kind, 0, false);
            assert_true((status == PF_OK) == (server != NULL));
            if (status != PF_OK)
                assert_true(error.message[0] != '\0');
            pf_server_close(server);
            if (seen < nth)
                break;
        }
    }
}

static void remove_folder(void)
{
    char path[400];
    static const char *const parts[] = {"videos", "spool"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, parts[i]);
        rmdir(path);
    }
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    if (dir)
        closedir(dir);
    rmdir(folder);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opening),
        cmocka_unit_test(test_allocations),
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_writes),
    };
    if (argc != 2)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    snprintf(folder, sizeof folder, "/tmp/pf-server-faults-%d", (int)getpid());
    pf_engine_options options = {.model_path = argv[1], .threads = 2};
    if (pf_engine_open(&options, &engine, NULL) != PF_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pf_engine_close(engine);
    remove_folder();
    return failed;
}
