/* SPDX-License-Identifier: Apache-2.0 */
/* A server with the Nth allocation, read, write, thread start or statement of its job
 * store failing: every request
 * gets an answer or a closed connection, no accepted job is
 * lost, and afterwards all is as before. */
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
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "phonofilm.h"
#include "server/saving.h"
#include "server/server.h"

enum { REPLY_BYTES = 1 << 18 };

static pf_engine *engine;
static pf_server *server;
static char folder[64], secret[96];

static const pf_server_options plain = {
    .host = "127.0.0.1", .output_dir = folder, .max_queue = 4, .max_upload = 1 << 20,
    .connections = 32, .header_seconds = 5,
};

/* With webhooks, to a port where nobody listens. */
static const pf_server_options hooked = {
    .host = "127.0.0.1", .output_dir = folder, .max_queue = 4, .max_upload = 1 << 20,
    .connections = 32, .header_seconds = 5, .webhook_hosts = "127.0.0.1:9",
    .webhook_secret_file = secret,
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

static int post(const char *path, const char *body, char *out)
{
    char request[1024];
    snprintf(request, sizeof request,
             "POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", path,
             strlen(body), body);
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
    return post("/v1/videos", body, out);
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

/* --- the job store is busy ---------------------------------------------------------- */

static void open_hooked(void)
{
    pf_error error = {0};
    if (pf_server_open(&hooked, engine, &server, &error) != PF_OK)
        fail_msg("%s", error.message);
}

/* A film that is made and one that is cancelled while it waits, in any order; how many
 * of them were accepted. */
static int make_and_cancel(char *out)
{
    static const char body[] =
        "{\"prompt\":\"x\",\"size\":\"16x16\",\"num_frames\":1,\"seed\":1,"
        "\"num_inference_steps\":2,\"webhook_url\":\"http://127.0.0.1:9/\"}";
    char id[64] = "", path[128];
    int accepted = post("/v1/videos", body, out) == 200;
    if (post("/v1/videos", body, out) != 200)
        return accepted;
    const char *at = strstr(out, "\"id\":\"");
    assert_true(at && sscanf(at, "\"id\":\"%60[^\"]", id) == 1);
    snprintf(path, sizeof path, "/v1/videos/%s/cancel", id);
    post(path, "{}", out);
    return accepted + 1;
}

/* Deliveries that wait in the store of a closed server. */
static int count_deliveries(void)
{
    char path[128];
    pf_store *store;
    pf_delivery delivery;
    int count = 0;
    snprintf(path, sizeof path, "%s/phonofilm.db", folder);
    assert_int_equal(pf_store_open(path, &store, NULL), PF_OK);
    pf_hands none = {{0}};
    while (pf_store_delivery_next(store, &none, &delivery, NULL) == PF_OK &&
           delivery.url) {
        assert_int_equal(pf_store_delivery_delete(store, delivery.id, NULL), PF_OK);
        pf_delivery_free(&delivery);
        count++;
    }
    pf_store_close(store);
    return count;
}

/* A new server tells what was told before the end, and each film that ended
 * has its delivery, whichever statement failed. */
static void test_busy_store(void **state)
{
    char *before = malloc(REPLY_BYTES), *after = malloc(REPLY_BYTES);
    int rounds = 0, videos, failed;
    bool met = true;
    (void)state;
    assert_true(before && after);
    for (int64_t nth = 1; met; nth++, rounds++) {
        open_hooked();
        pf_fault_arm(PF_FAULT_BUSY, nth, false);
        int accepted = make_and_cancel(before);
        wait_for_all(before, &videos, &failed);
        met = pf_fault_count(PF_FAULT_BUSY) >= nth;
        pf_fault_arm(PF_FAULT_BUSY, 0, false);
        assert_int_equal(videos, accepted);
        assert_int_equal(get("/v1/videos", before), 200);
        pf_server_close(server);
        assert_int_equal(count_deliveries(), accepted);
        open_hooked();
        assert_int_equal(get("/v1/videos", after), 200);
        assert_string_equal(strstr(after, "\r\n\r\n"), strstr(before, "\r\n\r\n"));
        delete_all(after);
        pf_server_close(server);
    }
    print_message("  %d statements\n", rounds);
    assert_true(rounds > 6);
    free(before);
    free(after);
}

/* --- a film during which the server dies ---------------------------------------------- */

typedef struct table {
    pf_store *store;
    pf_videos videos;
    pf_saving saving;
} table;

static void open_table(table *t)
{
    char path[128];
    snprintf(path, sizeof path, "%s/phonofilm.db", folder);
    assert_int_equal(pf_store_open(path, &t->store, NULL), PF_OK);
    pf_videos_open(&t->videos, (pf_queue_limits){4, 0, 0});
    assert_int_equal(pf_saving_open(&t->saving, &t->videos, t->store, folder, NULL), PF_OK);
}

static void close_table(table *t)
{
    pf_saving_close(&t->saving);
    pf_videos_close(&t->videos);
    pf_store_close(t->store);
}

static void add_video(table *t)
{
    pf_video *video = pf_video_new();
    assert_non_null(video);
    assert_true(pf_videos_new_id(&t->videos, video->id));
    video->settings = json_object();
    char name[PF_VIDEO_FRESH_BYTES], path[256];
    pf_video_fresh_name(video->id, name);
    snprintf(path, sizeof path, "%s/videos", folder);
    mkdir(path, 0700);                  /* it may be there */
    snprintf(path, sizeof path, "%s/videos/%s", folder, name);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(pf_saving_add(&t->saving, video, NULL), PF_OK);
}

static void delete_video(table *t, int at)
{
    const char *id = t->videos.all.at[at]->id;
    assert_int_equal(pf_store_delete(t->store, id, NULL), PF_OK);
    pf_video_remove_files(folder, id);
}

/* A life of the server, which ends while the film is made, unless that is without
 * hope; its rest is over at once.  How many seconds that was. */
static double die_while_making(bool *hopeless)
{
    table t;
    open_table(&t);
    pf_video *video = t.videos.all.at[0];
    double rest = video->interrupted ? video->rests_until - pf_seconds() : 0;
    video->rests_until = 0;
    assert_ptr_equal(pf_saving_take(&t.saving), video);
    *hopeless = pf_queue_is_hopeless(video);
    pf_videos_release(&t.videos, video);
    close_table(&t);
    return rest > 0 ? rest : 0;
}

/* A server that lives well without a film, and dies with it each time, gives it up; by
 * then it has lived without it for ten minutes. */
static void test_deaths(void **state)
{
    table t;
    double rests = 0;
    bool hopeless = false;
    int deaths = 0;
    (void)state;
    open_table(&t);
    add_video(&t);
    close_table(&t);
    for (; !hopeless; deaths += !hopeless)
        rests += die_while_making(&hopeless);
    assert_int_equal(deaths, 20);
    assert_true(rests > 600 && rests < 720);
    open_table(&t);
    delete_video(&t, 0);
    close_table(&t);
}

/* Others have their turn while a film rests, and a run that the server survives, however
 * it ends, is no death. */
static void test_rests(void **state)
{
    table t;
    bool hopeless = false;
    (void)state;
    open_table(&t);
    add_video(&t);
    close_table(&t);
    for (int i = 0; i < 12; i++)
        die_while_making(&hopeless);
    open_table(&t);
    add_video(&t);
    pf_video *resting = t.videos.all.at[0], *other = t.videos.all.at[1];
    assert_ptr_equal(pf_saving_take(&t.saving), other);
    const pf_ending completed = {"", "", 0};
    assert_int_equal(pf_saving_finish(&t.saving, other, &completed, NULL), PF_OK);
    pf_videos_release(&t.videos, other);
    for (int i = 0; i < 30; i++) {
        resting->rests_until = pf_seconds() + 0.01;
        assert_ptr_equal(pf_saving_take(&t.saving), resting);
        assert_int_equal(resting->starts, 13);
        pf_videos_put_back(&t.videos, resting, 0);
        pf_videos_release(&t.videos, resting);
    }
    assert_int_equal(pf_saving_retry(&t.saving, NULL), PF_OK);
    close_table(&t);
    open_table(&t);
    assert_int_equal(t.videos.all.at[0]->starts, 12);
    for (int i = 0; i < 2; i++)
        delete_video(&t, i);
    close_table(&t);
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
        cmocka_unit_test(test_busy_store),
        cmocka_unit_test(test_deaths),
        cmocka_unit_test(test_rests),
    };
    if (argc != 2)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    snprintf(folder, sizeof folder, "/tmp/pf-server-faults-%d", (int)getpid());
    snprintf(secret, sizeof secret, "%s-secret", folder);
    FILE *file = fopen(secret, "w");
    if (!file || fputs("0123456789abcdef\n", file) < 0 || fclose(file) != 0 ||
        mkdir(folder, 0750) != 0)
        return 1;
    pf_engine_options options = {.model_path = argv[1], .threads = 2};
    if (pf_engine_open(&options, &engine, NULL) != PF_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pf_engine_close(engine);
    remove_folder();
    unlink(secret);
    return failed;
}
