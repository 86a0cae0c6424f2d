//! Rule: how the caller of a function is found on the stack, as the function's tables say.

/// How a function's caller is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    Step(Step),
    /// It has no caller.
    End,
    /// Otherwise than by a step.
    Unknown,
}

/// Where a function's frame ends, and what is in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    /// True where the frame is so long from the frame pointer on, and not from the stack pointer on.
    pub(crate) from_frame_pointer: bool,
    /// Bytes up to the frame's end, below which the return address is.
    pub(crate) len: usize,
    /// So many bytes below the end the caller's frame pointer is; 0 where it is in its register.
    pub(crate) frame_pointer_at: usize,
}

/// Where a function is, and its frame.
#[derive(Clone, Copy)]
pub(crate) struct Registers {
    pub(crate) code: usize,
    pub(crate) stack: usize,
    pub(crate) frame: usize,
}
