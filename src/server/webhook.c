/* SPDX-License-Identifier: Apache-2.0 */
/* Webhooks: signed as the Standard Webhooks specification has it (and OpenAI's SDK
 * checks), kept in the store until they are delivered or given up.  Several postmen take
 * them there: one whose receiver is silent holds up no other.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "server/outbound.h"
#include "server/server_parts.h"
#include "server/threads.h"

enum { MAX_ATTEMPTS = 9 };
static const double first_wait = 1.0, wait_growth = 4.0, idle_wait = 30.0,
                    trouble_wait = 2.0;        /* while the store fails */

/* Unix time by a clock that nobody sets while the server lives. */
static double steady_now(const pf_server *server)
{
    return server->opened + pf_seconds() - server->began;
}

pf_status pf_webhook_announce(const pf_video *video, pf_delivery *out, pf_error *error)
{
    const char *url = json_string_value(json_object_get(video->settings, "webhook_url"));
    bool failed = video->status == PF_VIDEO_FAILED;
    if (!url)
        return PF_OK;
    snprintf(out->id, sizeof out->id, "evt_%s", video->id + strlen("video_"));
    json_t *body = json_pack("{s:s, s:s, s:I, s:s, s:{s:s}}", "id", out->id, "object",
                             "event", "created_at", (json_int_t)pf_now(), "type",
                             failed ? "video.failed" : "video.completed", "data", "id",
                             video->id);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    out->next = 0;                      /* deliver at once */
    out->url = pf_strdup(url);
    out->body = text ? pf_strdup(text) : NULL;
    free(text);
    return out->url && out->body ? PF_OK : pf_fail_memory(error, "webhook", 1);
}

/* "v1," and the Base64 of the HMAC of id.timestamp.body. */
static char *sign(const pf_server *server, const pf_delivery *delivery, long long now)
{
    uint8_t digest[PF_DIGEST_BYTES];
    char *text = pf_format("%s.%lld.%s", delivery->id, now, delivery->body);
    if (!text)
        return NULL;
    pf_digest_hmac(server->post.secret, server->post.secret_bytes, text,
                   strlen(text), digest);
    pf_free(text);
    return pf_base64_encode(digest, sizeof digest);
}

static pf_status deliver(pf_server *server, const pf_delivery *delivery, pf_error *error)
{
    char id[80], timestamp[64], header[128];
    long long now = (long long)pf_now();
    char *signature = sign(server, delivery, now);
    if (!signature)
        return pf_fail_memory(error, "webhook", 1);
    snprintf(id, sizeof id, "webhook-id: %s", delivery->id);
    snprintf(timestamp, sizeof timestamp, "webhook-timestamp: %lld", now);
    snprintf(header, sizeof header, "webhook-signature: v1,%s", signature);
    pf_free(signature);
    const char *const headers[] = {"Content-Type: application/json", id, timestamp,
                                   header, NULL};
    const pf_outbound way = {server->post.hosts, &server->closing};
    return pf_outbound_post(&way, delivery->url, headers, delivery->body, error);
}

/* Delivers, puts off or gives up a delivery; fails when the store cannot be told. */
static pf_status attempt(pf_server *server, pf_delivery *delivery)
{
    pf_error error = {0};
    double wait = first_wait;
    pf_status status = deliver(server, delivery, &error);
    if (status == PF_OK)
        return pf_store_delivery_delete(server->store, delivery->id, NULL);
    if (status == PF_E_CANCELLED)
        return PF_OK;                   /* the server stops: no attempt was made */
    for (int i = 0; i < delivery->attempts; i++)
        wait *= wait_growth;
    delivery->attempts++;
    delivery->next = steady_now(server) + wait;
    bool over = delivery->attempts >= MAX_ATTEMPTS;
    pf_server_log(server, "webhook %s, attempt %d: %s%s", delivery->id,
                  delivery->attempts, error.message, over ? "; given up" : "");
    return over ? pf_store_delivery_delete(server->store, delivery->id, NULL)
                : pf_store_delivery_put(server->store, delivery, NULL);
}

/* Looks for the next delivery.  @return the seconds until it is due; 0 or less: *hand has
 * it, and nobody else takes it until the hand is free again. */
static double take(pf_server *server, pf_delivery *out, char **hand)
{
    double wait = trouble_wait;
    pthread_mutex_lock(&server->post.lock);
    if (pf_store_delivery_next(server->store, &server->post.in_hand, out, NULL) == PF_OK)
        wait = out->url ? out->next - steady_now(server) : idle_wait;
    for (int i = 0; i < PF_HANDS; i++)  /* there are as many as postmen */
        if (!server->post.in_hand[i][0])
            *hand = server->post.in_hand[i];
    if (wait <= 0)
        memcpy(*hand, out->id, sizeof out->id);
    pthread_mutex_unlock(&server->post.lock);
    return wait;
}

static void free_hand(pf_server *server, char *hand)
{
    pthread_mutex_lock(&server->post.lock);
    hand[0] = '\0';
    pthread_mutex_unlock(&server->post.lock);
}

void *pf_webhook_run(void *argument)
{
    pf_server *server = argument;
    double wait = 0;
    while (!pf_server_sleep(server, wait)) {
        pf_delivery delivery;
        char *hand = NULL;
        wait = take(server, &delivery, &hand);
        if (wait <= 0) {
            wait = attempt(server, &delivery) == PF_OK ? 0 : trouble_wait;
            free_hand(server, hand);
        }
        pf_delivery_free(&delivery);
    }
    return NULL;
}
