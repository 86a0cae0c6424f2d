//! The allocator of this program. With several features the first here is taken, so that a build with all of them is
//! one, too; `NAME` says which it was.

cfg_if::cfg_if! {
    if #[cfg(feature = "tenure")] {
        pub const NAME: &str = "tenure";
        #[global_allocator]
        static GLOBAL: tenure::Tenure = tenure::Tenure::new();
    } else if #[cfg(feature = "mimalloc3")] {
        pub const NAME: &str = "mimalloc3";
        #[global_allocator]
        static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;
    } else if #[cfg(feature = "mimalloc2")] {
        pub const NAME: &str = "mimalloc2";
        #[global_allocator]
        static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;
    } else if #[cfg(feature = "jemalloc")] {
        pub const NAME: &str = "jemalloc";
        #[global_allocator]
        static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
    } else if #[cfg(feature = "snmalloc")] {
        pub const NAME: &str = "snmalloc";
        #[global_allocator]
        static GLOBAL: snmalloc_rs::SnMalloc = snmalloc_rs::SnMalloc;
    } else if #[cfg(feature = "rpmalloc")] {
        pub const NAME: &str = "rpmalloc";
        #[global_allocator]
        static GLOBAL: rpmalloc::RpMalloc = rpmalloc::RpMalloc;
    } else if #[cfg(feature = "rusty_alloc")] {
        pub const NAME: &str = "rusty_alloc";
        #[global_allocator]
        static GLOBAL: rusty_alloc_api::RustyAlloc = rusty_alloc_api::RustyAlloc;
    } else if #[cfg(feature = "smalloc")] {
        pub const NAME: &str = "smalloc";
        #[global_allocator]
        static GLOBAL: smmalloc::Smalloc = smmalloc::Smalloc::new();
    } else if #[cfg(feature = "talc")] {
        use std::alloc::System;

        use spinning_top::RawSpinlock;
        use talc::TalcLock;
        use talc::source::GlobalAllocSource;

        pub const NAME: &str = "talc";
        /// Behind the lock that its manual names: one that waits for the system would allocate, inside of an
        /// allocation.
        #[global_allocator]
        static GLOBAL: TalcLock<RawSpinlock, GlobalAllocSource<System>> = TalcLock::new(GlobalAllocSource::new(System));
    } else {
        pub const NAME: &str = "system";
        #[global_allocator]
        static GLOBAL: std::alloc::System = std::alloc::System;
    }
}
