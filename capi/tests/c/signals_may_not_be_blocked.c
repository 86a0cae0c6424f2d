/* A filter of system calls that lets signals be set and unblocked, and refuses to block more, as Tor's does: what the
 * program has blocked stays so when the library writes a line. */
#include "check.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static void refuse_to_block_more(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigprocmask, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SIG_BLOCK, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

int main(void)
{
    sigset_t ours, now;
    CHECK(sigemptyset(&ours) == 0 && sigaddset(&ours, SIGUSR1) == 0 && sigaddset(&ours, SIGTERM) == 0);
    CHECK(sigprocmask(SIG_SETMASK, &ours, NULL) == 0);
    refuse_to_block_more();
    CHECK(sigprocmask(SIG_BLOCK, &ours, NULL) == -1 && errno == EPERM);

    /* More than TENURE_LIMIT allows: a line says so. */
    CHECK(!malloc(hide_size((size_t)1 << 30)) && errno == ENOMEM);

    /* With no set there is nothing to block, and the filter looks at the first argument alone. */
    CHECK(sigprocmask(SIG_UNBLOCK, NULL, &now) == 0);
    for (int number = 1; number < 32; number++)
        CHECK(sigismember(&now, number) == sigismember(&ours, number));
    return 0;
}
