//! Detects barriers in non-uniform control flow, which browsers reject and naga's validator
//! accepts.
//!
//! A value is *tainted* if invocations of a workgroup may disagree on it: it depends on the
//! invocation's index, on memory that a kernel writes, or on a variable that was stored under a
//! tainted condition. A barrier below a tainted condition, or after one that leaves the function or
//! the loop, is reported.
//!
//! FXC, which compiles for DX12, is stricter: in a loop with a barrier it accepts no inner loop
//! that invocations leave in different iterations. That is reported, too.

use naga::{AddressSpace, Binding, Block, BuiltIn, Expression as E, Function, Handle, Module, Statement as S};
use std::collections::HashSet;

/// Returns the number of barriers in the entry point, or why one of them is not in uniform control
/// flow.
pub(crate) fn barriers(module: &Module) -> Result<usize, String> {
    let hidden = module.functions.iter().find(|(_, function)| has_barrier(&function.body));
    if let Some((_, function)) = hidden {
        return Err(format!("a barrier in the function {:?}: keep them in main", function.name));
    }
    let mut flow = Flow {
        module,
        function: &module.entry_points[0].function,
        stored: HashSet::new(),
        called: HashSet::new(),
        found: 0,
        rounds: 0,
    };
    loop {
        let before = (flow.stored.len(), flow.called.len());
        flow.found = 0;
        let outcome = flow.block(&flow.function.body, Exits::default());
        if before == (flow.stored.len(), flow.called.len()) {
            return outcome.map(|_| flow.found);
        }
    }
}

fn has_barrier(block: &Block) -> bool {
    block.iter().any(|statement| match statement {
        S::ControlBarrier(_) | S::WorkGroupUniformLoad { .. } => true,
        S::Block(block) => has_barrier(block),
        S::If { accept, reject, .. } => has_barrier(accept) || has_barrier(reject),
        S::Switch { cases, .. } => cases.iter().any(|case| has_barrier(&case.body)),
        S::Loop { body, continuing, .. } => has_barrier(body) || has_barrier(continuing),
        _ => false,
    })
}

/// State of the control flow: whether invocations have diverged, by an enclosing condition or an
/// earlier exit.
#[derive(Clone, Copy, Default)]
struct Exits {
    /// Diverged until the end of the enclosing conditions.
    parted: bool,
    /// Some have left the innermost loop or its iteration.
    left_loop: bool,
    /// Some have left the function.
    returned: bool,
}

impl Exits {
    fn any(self) -> bool {
        self.parted || self.left_loop || self.returned
    }
}

struct Flow<'a> {
    module: &'a Module,
    function: &'a Function,
    /// Tainted local variables.
    stored: HashSet<Handle<naga::LocalVariable>>,
    /// Tainted results of calls.
    called: HashSet<Handle<E>>,
    found: usize,
    /// Number of enclosing loops that contain a barrier.
    rounds: usize,
}

impl Flow<'_> {
    fn tainted(&self, expression: Handle<E>) -> bool {
        let taint = |expression: &Handle<E>| self.tainted(*expression);
        match &self.function.expressions[expression] {
            E::Literal(_) | E::Constant(_) | E::Override(_) | E::ZeroValue(_) | E::ArrayLength(_) => false,
            E::GlobalVariable(_) | E::LocalVariable(_) => false, // the address is uniform; Load handles the contents
            E::FunctionArgument(index) => !matches!(
                self.function.arguments[*index as usize].binding,
                Some(Binding::BuiltIn(BuiltIn::WorkGroupId | BuiltIn::NumWorkGroups | BuiltIn::WorkGroupSize))
            ),
            E::Load { pointer } => self.tainted(*pointer) || self.holds_taint(*pointer),
            E::Compose { components, .. } => components.iter().any(taint),
            E::Access { base, index } => taint(base) || taint(index),
            E::AccessIndex { base, .. } => taint(base),
            E::Splat { value, .. } => taint(value),
            E::Swizzle { vector, .. } => taint(vector),
            E::Unary { expr, .. } | E::As { expr, .. } => taint(expr),
            E::Binary { left, right, .. } => taint(left) || taint(right),
            E::Select { condition, accept, reject } => taint(condition) || taint(accept) || taint(reject),
            E::Relational { argument, .. } => taint(argument),
            E::Math { arg, arg1, arg2, arg3, .. } => taint(arg) || [arg1, arg2, arg3].into_iter().flatten().any(taint),
            E::CallResult(_) => self.called.contains(&expression),
            E::WorkGroupUniformLoadResult { .. } => false,
            _ => true,
        }
    }

    /// Whether the memory behind a pointer may differ between invocations.
    fn holds_taint(&self, pointer: Handle<E>) -> bool {
        match &self.function.expressions[pointer] {
            E::Access { base, .. } | E::AccessIndex { base, .. } => self.holds_taint(*base),
            E::LocalVariable(variable) => self.stored.contains(variable),
            E::GlobalVariable(variable) => written(self.module.global_variables[*variable].space),
            _ => true,
        }
    }

    fn store(&mut self, pointer: Handle<E>) {
        match &self.function.expressions[pointer] {
            E::Access { base, .. } | E::AccessIndex { base, .. } => self.store(*base),
            E::LocalVariable(variable) => {
                self.stored.insert(*variable);
            }
            _ => {}
        }
    }

    fn barrier(&mut self, exits: Exits) -> Result<(), String> {
        self.found += 1;
        if exits.any() { Err("a barrier in non-uniform control flow".to_string()) } else { Ok(()) }
    }

    fn block(&mut self, block: &Block, mut exits: Exits) -> Result<Exits, String> {
        for statement in block {
            match statement {
                S::ControlBarrier(_) | S::WorkGroupUniformLoad { .. } => self.barrier(exits)?,
                S::Break | S::Continue => exits.left_loop |= exits.any(),
                S::Return { .. } => exits.returned |= exits.any(),
                S::Block(inner) => exits = self.block(inner, exits)?,
                S::If { condition, accept, reject } => {
                    let inside = Exits { parted: exits.parted || self.tainted(*condition), ..exits };
                    for branch in [accept, reject] {
                        let after = self.block(branch, inside)?;
                        exits.left_loop |= after.left_loop;
                        exits.returned |= after.returned;
                    }
                }
                S::Switch { .. } if !has_barrier(block) => {}
                S::Switch { .. } => return Err("a switch beside a barrier: use if".to_string()),
                S::Loop { body, continuing, break_if } => {
                    // Twice: an invocation that left an iteration early is also absent from the
                    // next one.
                    let mut inside = Exits { left_loop: false, ..exits };
                    let found_before = self.found;
                    let holds_barrier = has_barrier(body) || has_barrier(continuing);
                    self.rounds += usize::from(holds_barrier);
                    for _ in 0..2 {
                        self.found = found_before;
                        inside = self.block(body, inside)?;
                        inside = self.block(continuing, inside)?;
                        inside.left_loop |= break_if.is_some_and(|condition| self.tainted(condition));
                    }
                    self.rounds -= usize::from(holds_barrier);
                    if self.rounds > 0 && inside.left_loop {
                        return Err(
                            "in a loop with a barrier, a loop of different length in each invocation".to_string()
                        );
                    }
                    exits.returned |= inside.returned;
                }
                S::Store { pointer, value } if exits.any() || self.tainted(*value) || self.tainted(*pointer) => {
                    self.store(*pointer);
                }
                S::Call { function, arguments, result } => {
                    let reads = reads_written_memory(self.module, &self.module.functions[*function]);
                    let tainted = reads || arguments.iter().any(|argument| self.tainted(*argument));
                    if let Some(result) = result.filter(|_| tainted) {
                        self.called.insert(result);
                    }
                    arguments.iter().for_each(|argument| self.store(*argument));
                }
                _ => {}
            }
        }
        Ok(exits)
    }
}

fn written(space: AddressSpace) -> bool {
    match space {
        AddressSpace::Storage { access } => access.contains(naga::StorageAccess::STORE),
        AddressSpace::Uniform => false,
        _ => true,
    }
}

fn reads_written_memory(module: &Module, function: &Function) -> bool {
    function.expressions.iter().any(|(_, expression)| match expression {
        E::CallResult(callee) => reads_written_memory(module, &module.functions[*callee]),
        E::GlobalVariable(variable) => written(module.global_variables[*variable].space),
        _ => false,
    })
}
