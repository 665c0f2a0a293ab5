// What reductions share: an item is summed in 64 lanes, each with a stride of 64, then by a tree over the lanes. SHARED: the invocations of a
// workgroup are the lanes of one item. Else an invocation goes through all lanes of its own item, without barriers, which software drivers compile slowly.
//
// The tree's loop over lanes runs as often in every invocation, and a condition inside it chooses: a loop whose end depends on the invocation makes FXC (DX12)
// refuse the barrier behind it.

//: if SHARED
const LANE_STEP = 64u;
fn first_lane(thread: u32) -> u32 { return thread; }
//: else
const LANE_STEP = 1u;
fn first_lane(thread: u32) -> u32 { return 0u; }
//: end
