//! Linker options of the shared library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libtenure_malloc_hardened.so");
    // The C library keeps the addresses of the hooks for thread exit and fork, so the code has to stay where it is.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
