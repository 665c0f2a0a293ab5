//! Places of tensors in one block of memory: tensors that are not needed at the same time share it.

/// A tensor: its number of elements, and the first and the last step at which it is needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    pub(super) len: usize,
    pub(super) from: usize,
    pub(super) to: usize,
}

/// Returns each tensor's offset, and the size of the block. The largest tensors are placed first,
/// each at the lowest offset that is free for all its steps.
pub(super) fn place(needs: &[Need]) -> (Vec<usize>, usize) {
    let mut order = Vec::from_iter(0..needs.len());
    order.sort_by_key(|&at| std::cmp::Reverse(needs[at].len));
    let mut offsets = vec![0; needs.len()];
    let mut placed: Vec<usize> = Vec::new();
    for at in order {
        let need = needs[at];
        let meets = |&other: &usize| needs[other].from <= need.to && need.from <= needs[other].to;
        let mut taken: Vec<_> = placed
            .iter()
            .copied()
            .filter(meets)
            .map(|other| (offsets[other], offsets[other] + needs[other].len))
            .collect();
        taken.sort_unstable();
        let mut offset = 0;
        for (start, end) in taken {
            if offset + need.len <= start {
                break;
            }
            offset = offset.max(end);
        }
        offsets[at] = offset;
        placed.push(at);
    }
    let size = needs.iter().zip(&offsets).map(|(need, offset)| offset + need.len).max().unwrap_or(0);
    (offsets, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_share_memory_only_at_different_steps() {
        let need = |len, from, to| Need { len, from, to };
        let needs = [need(4, 0, 1), need(8, 1, 2), need(3, 2, 3), need(2, 3, 3), need(5, 3, 4), need(1, 0, 4)];
        let (offsets, size) = place(&needs);
        for (a, (first, x)) in needs.iter().zip(&offsets).enumerate() {
            for (second, y) in needs.iter().zip(&offsets).skip(a + 1) {
                let same_time = first.from <= second.to && second.from <= first.to;
                let same_place = *x < y + second.len && *y < x + first.len;
                assert!(!(same_time && same_place), "{first:?} at {x}, {second:?} at {y}");
            }
        }
        assert_eq!(size, 13);
    }
}
