//! What this thread holds of the heap, as the allocator counts it. The interpreter looks at the size of a value where it is
//! assigned to a variable, and not where it is put into a map or a list: without this a script could hold gigabytes in the
//! time that it has. Where the allocator is another one (anywhere but on Linux) nothing is known of it.

/// Bytes that this thread has taken and not given back; only the difference of two such figures means anything.
pub(super) fn held() -> i64 {
    counted::held()
}

#[cfg(target_os = "linux")]
mod counted {
    use tikv_jemalloc_ctl::thread::{ThreadLocal, allocatedp, deallocatedp};

    thread_local! {
        static COUNTERS: Option<(ThreadLocal<u64>, ThreadLocal<u64>)> = allocatedp::read().ok().zip(deallocatedp::read().ok());
    }

    pub(super) fn held() -> i64 {
        let counters = COUNTERS.with(|counters| *counters);
        counters.map_or(0, |(taken, given_back)| taken.get().wrapping_sub(given_back.get()).cast_signed())
    }
}

#[cfg(not(target_os = "linux"))]
mod counted {
    pub(super) fn held() -> i64 {
        0
    }
}
