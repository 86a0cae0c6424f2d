//! System calls that are forbidden.

/// From now on these calls fail in this thread and in those that it starts, with `EPERM`.
pub fn forbid(calls: &[libc::c_long]) {
    let statement = |code: u32, jt: usize, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt: jt as u8, jf, k };
    // The number of the call is the first word of what the filter sees.
    let mut filter = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
    for (nth, &call) in calls.iter().enumerate() {
        filter.push(statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, calls.len() - nth, 0, call as u32));
    }
    filter.push(statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW));
    filter.push(statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: a valid filter, for this process alone.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}
