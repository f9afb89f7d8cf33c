/* SPDX-License-Identifier: MIT */

/* A program is a tree: all of it ends, and nothing else. */
#include "tests/unit/spawn-world.h"

/* What is left of a tree ends: who called setsid, who forked twice, who wiped his environment. */
static void test_left_behind(void **state)
{
        World *w = *state;
        SpawnSettings s = to_output(w);
        int fds[2];
        pid_t pids[3];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        s.fds[0] = fds[0];
        start_shell(w, &s,
                    "setsid sh -c 'echo $$; exec sleep 1000' &"
                    "(setsid env -i sh -c 'sh -c \"echo \\$\\$; exec sleep 1000\" &' &);"
                    "sh -c 'echo $$; exec sleep 1000' & read line");
        for (size_t i = 0; i < ELEMENTSOF(pids); i++)
                pids[i] = read_pid(w);
        close(fds[0]);
        close(fds[1]);
        run_until_ended(w, 1);
        assert_int_equal(w->end.outcome, SPAWN_EXITED);
        run_until_alone(w);
        for (size_t i = 0; i < ELEMENTSOF(pids); i++)
                assert_gone(pids[i]);
}

/* A program that is stopped ends as a whole, and who does not listen to TERM is killed. */
static void test_stop(void **state)
{
        World *w = *state;
        SpawnSettings s = to_output(w);
        pid_t pids[3];
        Spawn *p;

        s.kill_timeout = 100 * 1000;
        p = start_shell(w, &s,
                        "trap '' TERM; echo $$;"
                        "setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' &"
                        "setsid setsid sh -c 'echo $$; kill -STOP $$; sleep 1000' &"
                        "while :; do sleep 1; done");
        for (size_t i = 0; i < ELEMENTSOF(pids); i++)
                pids[i] = read_pid(w);
        spawn_stop(p);
        spawn_stop(p);
        run_until_ended(w, 1);
        assert_int_equal(w->end.outcome, SPAWN_SIGNALED);
        assert_int_equal(w->end.status, SIGKILL);
        run_until_alone(w);
        for (size_t i = 0; i < ELEMENTSOF(pids); i++)
                assert_gone(pids[i]);
}

/* TERM comes first, and there is time to heed it. */
static void test_stop_gently(void **state)
{
        World *w = *state;
        SpawnSettings s = to_output(w);
        char line[256];
        Spawn *p;

        p = start_shell(w, &s,
                        "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done");
        read_line(w, line);
        spawn_stop(p);
        run_until_ended(w, 1);
        assert_int_equal(w->end.outcome, SPAWN_EXITED);
        assert_int_equal(w->end.status, 3);
        run_until_alone(w);
        assert_string_equal(output(w), "bye\n");
}

/* Who forks and ends, again and again, is caught too. */
static void test_fork_chain(void **state)
{
        World *w = *state;
        SpawnSettings s = to_output(w);
        char line[256];
        Spawn *p;

        s.kill_timeout = 50 * 1000;
        p = start_shell(w, &s,
                        "trap '' TERM; echo ready;"
                        "f() { trap '' TERM; (f) & exit 0; }; f");
        read_line(w, line);
        run_until_ended(w, 1);
        (void)p;
        run_until_alone(w);
}

/* Its owner has gone: it ends, and nobody is told. */
static void test_free_while_running(void **state)
{
        World *w = *state;
        SpawnSettings s = to_output(w);
        pid_t pid;
        Spawn *p;

        p = start_shell(w, &s, "echo $$; exec sleep 1000");
        pid = read_pid(w);
        assert_int_equal(spawn_pid(p), pid);
        spawn_free(p);
        run_until_alone(w);
        assert_int_equal(w->n_ended, 0);
        assert_gone(pid);
}

/* Another program is not concerned, whatever it has started. */
static void test_others_go_on(void **state)
{
        World *w = *state;
        SpawnSettings s = to_output(w);
        pid_t other, orphan;
        Spawn *p, *q;

        q = start_shell(w, &s,
                        "echo $$; (setsid sh -c 'echo $$; exec sleep 1000' &); exec sleep 1000");
        other = read_pid(w);
        orphan = read_pid(w);
        p = start_shell(w, &s, "exec sleep 1000");
        spawn_stop(p);
        run_until_ended(w, 1);
        p = start_shell(w, &s, "setsid sleep 1000 & exit 0");
        run_until_ended(w, 2);
        while (spawner_count(w->spawner) > 1)
                turn(w);
        assert_int_equal(kill(other, 0), 0);
        assert_int_equal(kill(orphan, 0), 0);
        spawn_stop(q);
        run_until_ended(w, 3);
        run_until_alone(w);
        assert_gone(orphan);
}

/* A child that was there before the Spawner is none of its business. */
static int with_stranger(void *userdata)
{
        SpawnSettings s = { .fds = { -1, -1, -1 } };
        World w = { 0 };
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                (void)pause();
                _exit(0);
        }
        if (pid < 0 || sd_event_new(&w.event) < 0 || spawner_new(w.event, &w.spawner) < 0)
                return CHILD_CANNOT;
        start_shell(&w, &s, "setsid sleep 1000 & exit 0");
        run_until_ended(&w, 1);
        while (spawner_count(w.spawner) > 0)
                turn(&w);
        spawner_free(w.spawner);
        sd_event_unref(w.event);
        if (waitpid(pid, &status, WNOHANG) != 0)
                return 1;
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, &status, 0);
        return 0;
}

static void test_stranger(void **state)
{
        assert_int_equal(child_run(with_stranger, NULL), 0);
}

/* The Spawner's own end takes everything with it, at once. */
static void test_spawner_free(void **state)
{
        World *w = *state;
        SpawnSettings s = to_output(w);
        pid_t pids[2];
        Spawn *p;

        p = start_shell(w, &s,
                        "trap '' TERM; echo $$; setsid sh -c 'trap \"\" TERM; echo $$; exec sleep "
                        "1000' & exec sleep 1000");
        pids[0] = read_pid(w);
        pids[1] = read_pid(w);
        w->spawner = spawner_free(w->spawner);
        assert_int_equal(w->n_ended, 0);
        assert_gone(pids[0]);
        assert_gone(pids[1]);
        spawn_stop(p);
        spawn_free(p);
}

static void test_tree(void **state)
{
        _cleanup_pid_list_ PidList list = PID_LIST_NULL;
        _cleanup_tree_ Tree t = TREE_NULL;
        World *w = *state;
        SpawnSettings s = { .fds = { -1, -1, -1 } };
        TreeProcess process;
        Spawn *p;

        p = start_shell(w, &s, "exec sleep 1000");
        assert_int_equal(tree_children(&t, getpid(), SIZE_MAX, &list), 0);
        assert_int_equal(list.n, 1);
        assert_int_equal(list.list[0], spawn_pid(p));
        assert_int_equal(tree_read(spawn_pid(p), &process), 0);
        assert_int_equal(process.pid, spawn_pid(p));
        assert_int_equal(process.parent, getpid());
        assert_true(process.started > 0);
        assert_int_equal(tree_children(&t, getpid(), 1, &list), 0);
        assert_int_equal(list.n, 1); /* at most so many */
        spawn_stop(p);
        run_until_ended(w, 1);
        assert_int_equal(tree_read(process.pid, &process), -ESRCH);
}

/* As where the kernel does not list a process's children, and for good. */
static int setup_reading_all(void **state)
{
        tree_set_lists_children(false);
        return setup(state);
}

static void test_tree_reads_all_processes(void **state)
{
        _cleanup_pid_list_ PidList read = PID_LIST_NULL;
        _cleanup_tree_ Tree t = TREE_NULL;
        World *w = *state;
        SpawnSettings s = to_output(w);
        pid_t child, late;
        int fds[2];
        Spawn *p;

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        s.fds[0] = fds[0];
        /* A name that looks like the end of one in /proc/PID/stat. */
        p = start_shell(w, &s,
                        "printf 'x) S 1 ' >/proc/$$/comm; sh -c 'echo $$; exec sleep 1000' &"
                        "read line; sh -c 'echo $$; exec sleep 1000' & wait");
        child = read_pid(w);
        assert_int_equal(tree_children(&t, spawn_pid(p), SIZE_MAX, &read), 0);
        assert_int_equal(read.n, 1);
        assert_int_equal(read.list[0], child);
        assert_true(t.n_all >= 3);

        /* It is one look: what comes later is for the next. */
        assert_int_equal(write(fds[1], "\n", 1), 1);
        late = read_pid(w);
        read.n = 0;
        assert_int_equal(tree_children(&t, spawn_pid(p), SIZE_MAX, &read), 0);
        assert_int_equal(read.n, 1);
        read.n = 0;
        tree_done(&t);
        assert_int_equal(tree_children(&t, spawn_pid(p), SIZE_MAX, &read), 0);
        assert_int_equal(read.n, 2);
        assert_true(read.list[0] == late || read.list[1] == late);
        close(fds[0]);
        close(fds[1]);
        spawn_stop(p);
        run_until_ended(w, 1);
        run_until_alone(w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_READING_ALL(test)                                                                    \
        {                                                                                         \
                .name = #test "_reading_all", .test_func = test, .setup_func = setup_reading_all, \
                .teardown_func = teardown,                                                        \
        }

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_left_behind),
                TEST(test_stop),
                TEST(test_stop_gently),
                TEST(test_fork_chain),
                TEST(test_free_while_running),
                TEST(test_others_go_on),
                TEST(test_stranger),
                TEST(test_spawner_free),
                TEST(test_tree),
                /* Last: from here on no other way is known. */
                TEST_READING_ALL(test_left_behind),
                TEST_READING_ALL(test_stop),
                TEST_READING_ALL(test_stop_gently),
                TEST_READING_ALL(test_fork_chain),
                TEST_READING_ALL(test_free_while_running),
                TEST_READING_ALL(test_others_go_on),
                TEST_READING_ALL(test_stranger),
                TEST_READING_ALL(test_spawner_free),
                TEST_READING_ALL(test_tree),
                cmocka_unit_test_setup_teardown(test_tree_reads_all_processes, setup_reading_all,
                                                teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
