/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of threads and of processes: bytes arrive whole at every size and with every
 * unevenness, and a group ends for all members with one reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/group/local.h"

enum { MOST = 7 };

/* Every member's part in a scene; 0: all was as it should be. */
typedef int (*role)(pf_group *group, pf_error *error);

typedef struct actor {
    pthread_t thread;
    pf_hub *hub;
    int rank;
    role act;
    int result;
    pf_error error;
} actor;

static int play(actor *a)
{
    pf_group *group;
    if (pf_hub_join(a->hub, a->rank, &group, &a->error) != PF_OK)
        return -1;
    int result = a->act(group, &a->error);
    pf_group_close(group);
    return result;
}

static void *run_actor(void *argument)
{
    actor *a = argument;
    a->result = play(a);
    return NULL;
}

static void run_threads(int size, double deadline, role act, actor actors[MOST])
{
    pf_hub *hub;
    assert_int_equal(pf_hub_create(size, deadline, &hub, NULL), PF_OK);
    for (int i = 0; i < size; i++) {
        actors[i] = (actor){.hub = hub, .rank = i, .act = act};
        assert_int_equal(pthread_create(&actors[i].thread, NULL, run_actor, &actors[i]), 0);
    }
    for (int i = 0; i < size; i++)
        pthread_join(actors[i].thread, NULL);
    pf_hub_destroy(hub);
}

static void expect_all(int size, role act)
{
    actor actors[MOST];
    run_threads(size, 20.0, act, actors);
    for (int i = 0; i < size; i++)
        if (actors[i].result)
            fail_msg("rank %d of %d: %d %s", i, size, actors[i].result,
                     actors[i].error.message);
}

/* --- what arrives ------------------------------------------------------------ */

/* Bytes that `from` sends `to`: none for some pairs, more than a ring holds for others. */
static int64_t bytes_between(int from, int to)
{
    static const int64_t sizes[] = {0, 1, 100000, 7, 32768, 131, 32769, 65536};
    return sizes[(from * 3 + to * 5) % 8];
}

static unsigned char value_at(int from, int to, int64_t i)
{
    return (unsigned char)(from * 31 + to * 17 + i * 7 + i / 251);
}

static int64_t lay_out(int rank, int size, int outgoing, pf_span *spans)
{
    int64_t total = 0;
    for (int other = 0; other < size; other++) {
        int64_t bytes = outgoing ? bytes_between(rank, other) : bytes_between(other, rank);
        spans[other] = (pf_span){total, bytes};
        total += bytes + 3;
    }
    return total;
}

static int exchange_unevenly(pf_group *group, pf_error *error)
{
    pf_span to[MOST], from[MOST];
    unsigned char *out = calloc(1, (size_t)lay_out(group->rank, group->size, 1, to));
    unsigned char *in = calloc(1, (size_t)lay_out(group->rank, group->size, 0, from));
    int wrong = !out || !in;
    for (int other = 0; !wrong && other < group->size; other++)
        for (int64_t i = 0; i < to[other].bytes; i++)
            out[to[other].offset + i] = value_at(group->rank, other, i);
    for (int again = 0; !wrong && again < 3; again++)
        wrong = pf_group_all_to_all(group, &(pf_exchange){out, to, in, from}, error);
    for (int other = 0; !wrong && other < group->size; other++) {
        for (int64_t i = 0; i < from[other].bytes; i++)
            wrong |= in[from[other].offset + i] != value_at(other, group->rank, i);
        wrong |= in[from[other].offset + from[other].bytes] != 0;
    }
    free(out);
    free(in);
    return wrong;
}

static void exchanges_arrive_at_every_size(void **unused)
{
    (void)unused;
    for (int size = 1; size <= MOST; size++)
        expect_all(size, exchange_unevenly);
}

static int gather_and_spread(pf_group *group, pf_error *error)
{
    int numbers[2 * MOST], wrong = 0, own[2] = {group->rank, 100 + group->rank};
    pf_span from[MOST];
    for (int i = 0; i < group->size; i++)
        from[i] = (pf_span){i * (int64_t)sizeof own, sizeof own};
    wrong |= pf_group_all_gather(group, own, sizeof own, numbers, from, error);
    for (int i = 0; i < group->size; i++)
        wrong |= numbers[2 * i] != i || numbers[2 * i + 1] != 100 + i;
    for (int root = 0; root < group->size; root++) {
        int value = group->rank == root ? 1000 + root : -1;
        wrong |= pf_group_broadcast(group, root, &value, sizeof value, error);
        wrong |= value != 1000 + root;
    }
    return wrong | (int)pf_group_barrier(group, error);
}

static void all_have_what_each_has(void **unused)
{
    (void)unused;
    for (int size = 1; size <= MOST; size++)
        expect_all(size, gather_and_spread);
}

/* Round the ring of ranks: each passes on what it receives. */
static int pass_round(pf_group *group, pf_error *error)
{
    int next = (group->rank + 1) % group->size;
    int before = (group->rank + group->size - 1) % group->size;
    int token = 7, wrong = 0;
    if (group->rank == 0)
        wrong |= pf_group_send(group, next, &token, sizeof token, error);
    wrong |= pf_group_receive(group, before, &token, sizeof token, error);
    wrong |= token != (group->rank == 0 ? 6 + group->size : 6 + group->rank);
    token++;
    if (group->rank != 0)
        wrong |= pf_group_send(group, next, &token, sizeof token, error);
    return wrong;
}

static void messages_go_from_one_to_another(void **unused)
{
    (void)unused;
    for (int size = 2; size <= MOST; size++)
        expect_all(size, pass_round);
}

/* Even and odd ranks apart; calls of the part and of the whole take turns. */
static int split_in_two(pf_group *group, pf_error *error)
{
    pf_group *half;
    if (pf_group_split(group, group->rank % 2, &half, error) != PF_OK)
        return -1;
    int wrong = half->rank != group->rank / 2 ||
                half->size != (group->size + 1 - group->rank % 2) / 2;
    for (int turn = 0; turn < 5; turn++) {
        int value = half->rank == 0 ? 10 * turn + group->rank : -1;
        wrong |= pf_group_broadcast(half, 0, &value, sizeof value, error);
        wrong |= value != 10 * turn + group->rank % 2;
        wrong |= gather_and_spread(group, error);
    }
    pf_group_close(half);
    return wrong;
}

static void parts_of_a_group_are_groups(void **unused)
{
    (void)unused;
    for (int size = 1; size <= MOST; size++)
        expect_all(size, split_in_two);
}

static void forked_processes_are_members(void **unused)
{
    (void)unused;
    enum { SIZE = 4 };
    pf_hub *hub;
    pid_t children[SIZE];
    assert_int_equal(pf_hub_create(SIZE, 20.0, &hub, NULL), PF_OK);
    for (int i = 0; i < SIZE; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0)
            _exit(play(&(actor){.hub = hub, .rank = i, .act = exchange_unevenly}));
    }
    for (int i = 0; i < SIZE; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    pf_hub_destroy(hub);
}

/* --- how a group ends --------------------------------------------------------- */

static void expect_reason(int size, double deadline, role act, const char *reason)
{
    actor actors[MOST];
    run_threads(size, deadline, act, actors);
    for (int i = 0; i < size; i++) {
        if (actors[i].result == -2)
            continue;                   /* plays the culprit */
        assert_int_equal(actors[i].result, PF_E_PLATFORM);
        assert_string_equal(actors[i].error.message, reason);
    }
}

static int barrier_twice(pf_group *group, pf_error *error)
{
    pf_status first = pf_group_barrier(group, error);
    pf_status second = pf_group_barrier(group, error);
    return first == PF_OK || first == second ? (int)second : -1;
}

static int last_leaves(pf_group *group, pf_error *error)
{
    return group->rank == group->size - 1 ? -2 : barrier_twice(group, error);
}

static void leaving_ends_it_at_once(void **unused)
{
    (void)unused;
    expect_reason(4, 1000.0, last_leaves, "rank 3 has left the group");
}

static int first_sleeps(pf_group *group, pf_error *error)
{
    if (group->rank > 0)
        return barrier_twice(group, error);
    usleep(400000);
    return -2;
}

static void silence_ends_it_after_the_deadline(void **unused)
{
    (void)unused;
    expect_reason(3, 0.1, first_sleeps, "rank 0 did not answer within 0.1 s");
}

static int aborts(pf_group *group, pf_error *error)
{
    if (group->rank > 0)
        return barrier_twice(group, error);
    usleep(20000);
    pf_group_abort(group, "the weights differ");
    pf_group_abort(group, "a later reason");
    return barrier_twice(group, error);
}

static void the_first_reason_is_everybodys(void **unused)
{
    (void)unused;
    expect_reason(5, 1000.0, aborts, "the weights differ");
}

static int lengths_differ(pf_group *group, pf_error *error)
{
    int64_t bytes = 4 + group->rank, data[2] = {0, 0};
    pf_status status = group->rank == 0 ? pf_group_send(group, 1, data, bytes, error)
                                        : pf_group_receive(group, 0, data, bytes, error);
    return status == PF_OK ? (int)pf_group_barrier(group, error) : (int)status;
}

static void a_message_of_another_length_is_told(void **unused)
{
    (void)unused;
    expect_reason(2, 1000.0, lengths_differ, "rank 0 sent 4 bytes where 5 were expected");
}

static void a_killed_process_ends_it(void **unused)
{
    (void)unused;
    pf_hub *hub;
    pf_group *group;
    pf_error error = {0};
    assert_int_equal(pf_hub_create(2, 0.2, &hub, NULL), PF_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        kill(getpid(), SIGKILL);
        _exit(0);
    }
    assert_int_equal(pf_hub_join(hub, 0, &group, NULL), PF_OK);
    assert_int_equal(pf_group_barrier(group, &error), PF_E_PLATFORM);
    assert_string_equal(error.message, "rank 1 did not answer within 0.2 s");
    pf_group_close(group);
    pf_hub_destroy(hub);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* --- arguments ------------------------------------------------------------------ */

#define REFUSED(expression, sentence)                        \
    do {                                                     \
        pf_error error = {0};                                \
        assert_int_equal(expression, PF_E_ARGUMENT);         \
        assert_string_equal(error.message, sentence);        \
    } while (0)

static void arguments_are_judged(void **unused)
{
    (void)unused;
    pf_hub *hub;
    pf_group *group, *again;
    REFUSED(pf_hub_create(0, 1.0, &hub, &error),
            "a group of 0 members, but it must have 1 to 64");
    assert_int_equal(pf_hub_create(2, 1.0, &hub, NULL), PF_OK);
    REFUSED(pf_hub_join(hub, 2, &group, &error), "the rank is 2, but must be 0 to 1");
    assert_int_equal(pf_hub_join(hub, 1, &group, NULL), PF_OK);
    REFUSED(pf_hub_join(hub, 1, &again, &error), "rank 1 has joined the group already");
    REFUSED(pf_group_send(group, 1, NULL, 0, &error),
            "rank 1 cannot send messages to itself");
    REFUSED(pf_group_send(group, 5, NULL, 0, &error),
            "the other end of a message is rank 5, but must be 0 to 1");
    REFUSED(pf_group_receive(group, 0, NULL, -1, &error),
            "a message has -1 bytes, but must have 0 or more");
    REFUSED(pf_group_broadcast(group, -1, NULL, 0, &error),
            "the root of a broadcast is rank -1, but must be 0 to 1");
    REFUSED(pf_group_split(group, -1, &again, &error),
            "the colour of a split is -1, but must be 0 or more");
    const pf_span bad[2] = {{0, 1}, {-1, 1}}, good[2] = {{0, 1}, {0, 2}};
    REFUSED(pf_group_all_to_all(group, &(pf_exchange){NULL, bad, NULL, good}, &error),
            "the span to rank 1 has offset -1 and 1 bytes, but both must be 0 or more");
    const pf_span two[2] = {{0, 1}, {0, 3}};
    REFUSED(pf_group_all_to_all(group, &(pf_exchange){NULL, two, NULL, good}, &error),
            "rank 1 sends itself 3 bytes, but expects 2");
    pf_group_close(group);
    pf_group_close(NULL);
    pf_hub_destroy(hub);
    pf_hub_destroy(NULL);
}

static void one_member_needs_no_carrier(void **unused)
{
    (void)unused;
    pf_group *group, *other;
    pf_error error = {0};
    assert_int_equal(pf_group_alone(&group, NULL), PF_OK);
    assert_int_equal(exchange_unevenly(group, &error), 0);
    assert_int_equal(gather_and_spread(group, &error), 0);
    assert_int_equal(pf_group_split(group, 3, &other, NULL), PF_OK);
    assert_int_equal(other->size, 1);
    pf_group_close(other);
    pf_group_abort(group, "enough");
    assert_int_equal(pf_group_barrier(group, &error), PF_E_PLATFORM);
    assert_string_equal(error.message, "enough");
    pf_group_close(group);
}

static void shares_are_even_and_whole(void **unused)
{
    (void)unused;
    for (int size = 1; size <= PF_GROUP_MAX; size++)
        for (int64_t units = 0; units < 200; units += 1 + units / 9) {
            int64_t next = 0;
            for (int rank = 0; rank < size; rank++) {
                pf_share share = pf_share_of(rank, size, units);
                assert_int_equal(share.first, next);
                assert_in_range(share.count, units / size, (units + size - 1) / size);
                next += share.count;
            }
            assert_int_equal(next, units);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchanges_arrive_at_every_size),
        cmocka_unit_test(all_have_what_each_has),
        cmocka_unit_test(messages_go_from_one_to_another),
        cmocka_unit_test(parts_of_a_group_are_groups),
        cmocka_unit_test(forked_processes_are_members),
        cmocka_unit_test(leaving_ends_it_at_once),
        cmocka_unit_test(silence_ends_it_after_the_deadline),
        cmocka_unit_test(the_first_reason_is_everybodys),
        cmocka_unit_test(a_message_of_another_length_is_told),
        cmocka_unit_test(a_killed_process_ends_it),
        cmocka_unit_test(arguments_are_judged),
        cmocka_unit_test(one_member_needs_no_carrier),
        cmocka_unit_test(shares_are_even_and_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
