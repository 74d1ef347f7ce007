//! The allocator of a plugin. Each call has an instance of its own, so what counts is how soon the first bytes are there. The
//! standard library's allocator asks the host for pages at once, and each time the host changes what may be touched; this
//! one begins with the heap that `ampout plugin build` has the linker lay out, which most calls never outgrow. A call of the
//! shipped reply classifier takes a quarter less.

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;
