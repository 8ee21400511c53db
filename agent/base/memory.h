#pragma once

namespace kubenatd::agent::base {

/// Gives freed heap memory back to the system. Cost: malloc_trim looks through all heaps.
void give_back_heap();

/// The same, and takes out of the page table what files have mapped and nobody has written to, so that only what goes
/// on being used counts for this process: a start runs much code that is never run again, and Linux maps 64 KiB around
/// each page that is asked for (fault_around_bytes, Linux 6.18). The pages stay in the kernel's cache, so that one that
/// is needed again costs a minor fault. Failure: none; what the kernel does not do is left as it is. Cost: reading
/// /proc/self/smaps.
void give_back_memory();

}  // namespace kubenatd::agent::base
