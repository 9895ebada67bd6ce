/* pause: the process that holds a Pod's namespaces.
 *
 * The infra container starts first, the other containers join its network (and, where asked, its PID)
 * namespace, and its life is the Pod's life. So it has three duties and no others: sleep, end with
 * status 0 when told to, and reap the orphans that a shared PID namespace hands to process 1.
 *
 * Theory of operation. SIGINT, SIGTERM and SIGCHLD are blocked, once, by the first instruction that
 * matters, and from then on *collected* with rt_sigtimedwait(2) rather than handled:
 *
 *      block {INT, TERM, CHLD}
 *      loop:   reap every child that is dead by now
 *              wait until one of the three signals is pending, and take it
 *              CHLD: loop        INT, TERM: exit 0
 *
 *   - No signal is lost. One that arrives between reaping and waiting stays pending and ends the wait
 *     at once: the race that pause(2) and a handler would have cannot happen.
 *   - Many children may die behind one pending SIGCHLD (standard signals do not queue), hence "every".
 *     The first round also takes those that died before the mask was set.
 *   - It works as process 1, to which the kernel delivers no signal that it has no handler for: a
 *     *blocked* signal is never discarded (kernel/signal.c, sig_ignored), and the kernel remembers that it
 *     was blocked while it waits. For the same reason it works where the parent left SIGINT ignored,
 *     as a shell does for its background jobs.
 *   - There is no handler, so there is no stack frame to return through and, on amd64, no restorer.
 *   - A stop and continue (SIGSTOP, SIGCONT) ends the wait with EINTR: loop. Any other error would come
 *     back for ever and turn the sleep into a busy loop, so it ends the process with 70 (EX_SOFTWARE).
 *
 * No libc, no data that is written, no stack: the program below is the same for both machines, the
 * macros spell its five verbs in each one's instructions. Build:
 *
 *      cc -nostdlib -static -no-pie -s -Wl,--build-id=none -Wl,-z,noseparate-code -o pause pause.S
 */

/* asm-generic values, the same on amd64 and arm64. */
#define SIG_BLOCK       0
#define SIGNALS         (1 << (2 - 1)) | (1 << (15 - 1)) | (1 << (17 - 1))  /* SIGINT, SIGTERM, SIGCHLD */
#define SIGSET_BYTES    8
#define SIGCHLD         17
#define EINTR           4
#define ANY_CHILD       -1
#define WNOHANG         1
#define EX_SOFTWARE     70

#if defined(__x86_64__)         /* arguments: rdi rsi rdx r10, number and result: rax; clobbers rcx, r11 */

        .intel_syntax noprefix
#define SYS_rt_sigprocmask      14
#define SYS_wait4               61
#define SYS_rt_sigtimedwait     128
#define SYS_exit_group          231

        .macro  call_kernel number
        mov     eax, \number
        syscall
        .endm

        .macro  arguments first, second, third, fourth
        mov     rdi, \first
        mov     esi, \second
        mov     edx, \third
        mov     r10d, \fourth
        .endm

        .macro  signals_as_first
        lea     rdi, signals[rip]
        .endm

        .macro  signals_as_second
        lea     rsi, signals[rip]
        .endm

        .macro  if_result_is value, label
        cmp     rax, \value
        je      \label
        .endm

        .macro  if_result_is_positive label
        test    rax, rax
        jg      \label
        .endm

#elif defined(__aarch64__)      /* arguments: x0 x1 x2 x3, number: x8, result: x0 */

#define SYS_rt_sigprocmask      135
#define SYS_wait4               260
#define SYS_rt_sigtimedwait     137
#define SYS_exit_group          94

        .macro  call_kernel number
        mov     x8, \number
        svc     0
        .endm

        .macro  arguments first, second, third, fourth
        mov     x0, \first
        mov     x1, \second
        mov     x2, \third
        mov     x3, \fourth
        .endm

        .macro  signals_as_first
        adr     x0, signals
        .endm

        .macro  signals_as_second
        adr     x1, signals
        .endm

        .macro  if_result_is value, label
        cmp     x0, \value
        b.eq    \label
        .endm

        .macro  if_result_is_positive label
        cmp     x0, 0
        b.gt    \label
        .endm

#else
#error "pause.S knows amd64 (x86-64) and arm64 (aarch64)"
#endif

        .text
        .globl  _start
_start:                                         /* sigprocmask(SIG_BLOCK, &signals, NULL, 8) */
        arguments SIG_BLOCK, 0, 0, SIGSET_BYTES
        signals_as_second
        call_kernel SYS_rt_sigprocmask

reap:                                           /* wait4(-1, NULL, WNOHANG, NULL): a pid, 0 or -ECHILD */
        arguments ANY_CHILD, 0, WNOHANG, 0
        call_kernel SYS_wait4
        if_result_is_positive reap

                                                /* sigtimedwait(&signals, NULL, NULL, 8): a signal or -EINTR */
        arguments 0, 0, 0, SIGSET_BYTES
        signals_as_first
        call_kernel SYS_rt_sigtimedwait
        if_result_is SIGCHLD, reap
        if_result_is -EINTR, reap
        if_result_is_positive stop

        arguments EX_SOFTWARE, 0, 0, 0          /* an error that would come back for ever */
        call_kernel SYS_exit_group

stop:                                           /* SIGINT or SIGTERM */
        arguments 0, 0, 0, 0
        call_kernel SYS_exit_group

        .balign 8
signals:                                        /* read only, so it can stand behind the code */
        .quad   SIGNALS

        .section .note.GNU-stack, "", %progbits /* no executable stack */
