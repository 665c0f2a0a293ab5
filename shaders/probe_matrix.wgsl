// Products of cooperative matrices of half floats, accumulated in f32: FM x FN matrices of sums per
// subgroup, and STEPS products for each of them per round. Operands stay where the driver keeps
// matrices: FM of a and FN of b, so that no two sums are equal.
//
// work: rounds, workgroups that store, a value that the result never has (so the others do not
// store, which the compiler cannot infer), -. x: the matrices of a, then those of b, by rows.

const QUADS = SIZE * SIZE / 4u; // of a matrix

var<workgroup> operands: array<vec4<f16>, (FM + FN) * QUADS>;
var<workgroup> sums: array<f32, THREADS / SUBGROUP * SIZE * SIZE>;

@main {
    let work = work_at(0u);
    for (var i = thread; i < (FM + FN) * QUADS; i += THREADS) { operands[i] = vec4<f16>(x_at(i)); }
    workgroupBarrier();
    //: for m in FM
    let at_a$m = $mu * QUADS;
    let a$m = coopLoadT<MATRIX<f16, A>>(&operands[at_a$m], SIZE / 4u);
    //: end
    //: for n in FN
    let at_b$n = (FM + $nu) * QUADS;
    let b$n = coopLoadT<MATRIX<f16, B>>(&operands[at_b$n], SIZE / 4u);
    //: end
    //: for m in FM
    //: for n in FN
    var c$m_$n = MATRIX<f32, C>();
    //: end
    //: end
    for (var r = 0u; r < work.x; r++) {
        //: for s in STEPS
        //: for m in FM
        //: for n in FN
        c$m_$n = coopMultiplyAdd(a$m, b$n, c$m_$n);
        //: end
        //: end
        //: end
    }
    let subgroup = thread / SUBGROUP;
    let lane = thread % SUBGROUP;
    let base = subgroup * (SIZE * SIZE);
    //: for i in ITEMS
    var total$i = vec4<f32>();
    //: end
    //: for m in FM
    //: for n in FN
    coopStoreT(c$m_$n, &sums[base], SIZE);
    workgroupBarrier();
    //: for i in ITEMS
    if (lane + $iu * SUBGROUP < QUADS) {
        let at = base + 4u * (lane + $iu * SUBGROUP);
        total$i += vec4<f32>(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]);
    }
    //: end
    workgroupBarrier();
    //: end
    //: end
    //: for i in ITEMS
    if (lane + $iu * SUBGROUP < QUADS && (group.x < work.y || total$i.x == bitcast<f32>(work.z))) {
        y_put(subgroup * QUADS + lane + $iu * SUBGROUP, total$i);
    }
    //: end
}
