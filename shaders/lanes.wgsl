// The tree of every reduction: an item is reduced in 64 lanes, lane l from the terms l, l + 64, …;
// then the upper half of the lanes is repeatedly added to the lower half. SHARED: the invocations
// of a workgroup are the lanes of one item. Otherwise each invocation processes all lanes of its
// item, without barriers, which software drivers compile slowly.
//
// The op's body declares `alias Lane`, `fn item_count()`, `fn of_lane(item, lane) -> Lane`,
// `fn combined(a: Lane, b: Lane) -> Lane` and `fn finish(item, all: Lane)`, and the uniform holds
// `half`, 32: see src/ops/sum.rs. BESIDE: workgroups from `p.reducing` on do other work,
// `fn beside(i)`.
//
// The tree's loop has the same trip count in every invocation, and a condition inside it selects
// the active ones: if the end of a loop depends on the invocation, FXC (DX12) rejects the barrier
// after it.

//: if SHARED
var<workgroup> lanes: array<Lane, 64>;
const LANE_STEP = 64u;
fn first_lane(thread: u32) -> u32 { return thread; }
//: else
var<private> lanes: array<Lane, 64>;
const LANE_STEP = 1u;
fn first_lane(thread: u32) -> u32 { return 0u; }
//: end

@main {
    let place = group_index(group, groups); // uniform
    //: if BESIDE
    if (place >= p.reducing) {
        beside((place - p.reducing) * THREADS + thread);
        return;
    }
    //: end
    //: if SHARED
    let item = place;
    //: else
    let item = place * THREADS + thread;
    //: end
    if (item >= item_count()) { return; }
    for (var lane = first_lane(thread); lane < 64u; lane += LANE_STEP) { lanes[lane] = of_lane(item, lane); }
    //: if SHARED
    workgroupBarrier();
    //: end
    for (var half = p.half; half > 0u; half >>= 1u) {
        for (var base = 0u; base < half; base += LANE_STEP) {
            let lane = base + first_lane(thread);
            if (lane < half) { lanes[lane] = combined(lanes[lane], lanes[lane + half]); }
        }
        //: if SHARED
        workgroupBarrier();
        //: end
    }
    if (first_lane(thread) == 0u) { finish(item, lanes[0]); }
}
