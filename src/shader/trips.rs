//! The number of iterations of a loop, if it is constant.
//!
//! The loop is executed: its variable starts at a constant, and its condition and step depend only
//! on that variable. So steps such as `i += 2u` and `i >>= 1u` are treated alike.
//!
//! **Invariant:** a loop with another exit (`break`, `return`), or whose variable is written
//! elsewhere, has no known count.

use naga::{
    BinaryOperator as B, Block, Expression as E, Function, Handle, Literal, LocalVariable, Module, Statement as S,
};

/// Loops with more iterations are treated as unknown.
const MOST: u64 = 1 << 16;

/// Returns the number of iterations of the loop `block[at]`, or `None` if it is not constant.
/// `looped`: whether it is inside another loop.
pub(super) fn of(module: &Module, function: &Function, block: &Block, at: usize, looped: bool) -> Option<u64> {
    let S::Loop { body, continuing, break_if: None } = &block[at] else { return None };
    // A `for` or `while` loop starts with `if test {} else { break; }`.
    let test = body.iter().position(|statement| !matches!(statement, S::Emit(_)))?;
    let S::If { condition, accept, reject } = &body[test] else { return None };
    if !accept.is_empty() || !matches!(reject[..], [S::Break]) {
        return None;
    }
    let mut steps = continuing.iter().filter(|statement| !matches!(statement, S::Emit(_)));
    let (Some(S::Store { pointer, value: step }), None) = (steps.next(), steps.next()) else { return None };
    let E::LocalVariable(variable) = function.expressions[*pointer] else { return None };
    let rest = &body[test + 1..];
    if rest.iter().any(|statement| leaves(statement, false) || writes(function, statement, variable)) {
        return None;
    }
    let before = block[..at].iter().rev().find(|statement| writes(function, statement, variable));
    let start = match before {
        Some(S::Store { value, .. }) => *value,
        Some(_) => return None,
        // The initial value is in the declaration, so there must be no other write, including one
        // in an earlier iteration of an outer loop.
        None if !looped
            && function.body.iter().map(|all| count_writes(function, all, variable)).sum::<usize>() == 1 =>
        {
            function.local_variables[variable].init?
        }
        None => return None,
    };
    let fresh: Vec<_> = body[..test].iter().chain(continuing).filter_map(emitted).flatten().collect();
    let mut reader = Reader { module, function, variable, fresh, now: None };
    let mut now = reader.value(start)?;
    for trips in 0..=MOST {
        reader.now = Some(now);
        match reader.value(*condition)? {
            Value::Bool(false) => return Some(trips),
            Value::Bool(true) => now = reader.value(*step)?,
            _ => return None,
        }
    }
    None
}

fn emitted(statement: &S) -> Option<Vec<Handle<E>>> {
    if let S::Emit(range) = statement { Some(range.clone().collect()) } else { None }
}

/// Returns the blocks of a statement.
fn blocks(statement: &S) -> Vec<&Block> {
    match statement {
        S::Block(block) => vec![block],
        S::If { accept, reject, .. } => vec![accept, reject],
        S::Switch { cases, .. } => cases.iter().map(|case| &case.body).collect(),
        S::Loop { body, continuing, .. } => vec![body, continuing],
        _ => Vec::new(),
    }
}

/// Returns whether a statement may leave the enclosing loop. `inner`: a `break` here leaves an
/// inner statement.
fn leaves(statement: &S, inner: bool) -> bool {
    match statement {
        S::Return { .. } | S::Kill => true,
        S::Break => !inner,
        _ => {
            let inner = inner || matches!(statement, S::Loop { .. } | S::Switch { .. });
            blocks(statement).into_iter().flatten().any(|statement| leaves(statement, inner))
        }
    }
}

/// Counts the statements that may write a variable: stores, and calls that receive its address.
fn count_writes(function: &Function, statement: &S, variable: Handle<LocalVariable>) -> usize {
    match statement {
        S::Store { pointer, .. } | S::Atomic { pointer, .. } => usize::from(root(function, *pointer) == Some(variable)),
        S::Call { arguments, .. } => {
            usize::from(arguments.iter().any(|argument| root(function, *argument) == Some(variable)))
        }
        _ => blocks(statement).into_iter().flatten().map(|inside| count_writes(function, inside, variable)).sum(),
    }
}

fn writes(function: &Function, statement: &S, variable: Handle<LocalVariable>) -> bool {
    count_writes(function, statement, variable) > 0
}

/// Returns the variable that an address points into.
fn root(function: &Function, pointer: Handle<E>) -> Option<Handle<LocalVariable>> {
    match function.expressions[pointer] {
        E::LocalVariable(variable) => Some(variable),
        E::Access { base, .. } | E::AccessIndex { base, .. } => root(function, base),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Value {
    U32(u32),
    I32(i32),
    Bool(bool),
}

/// Evaluator of constant expressions, with the loop's variable as a constant.
struct Reader<'a> {
    module: &'a Module,
    function: &'a Function,
    variable: Handle<LocalVariable>,
    /// Expressions that every iteration evaluates again: only in these does a load of the variable
    /// give its current value.
    fresh: Vec<Handle<E>>,
    now: Option<Value>,
}

impl Reader<'_> {
    fn value(&self, handle: Handle<E>) -> Option<Value> {
        match self.function.expressions[handle] {
            E::Literal(of) => literal(of),
            E::Constant(constant) => match self.module.global_expressions[self.module.constants[constant].init] {
                E::Literal(of) => literal(of),
                _ => None,
            },
            E::Load { pointer } if self.fresh.contains(&handle) => match self.function.expressions[pointer] {
                E::LocalVariable(variable) if variable == self.variable => self.now,
                _ => None,
            },
            E::Binary { op, left, right } => binary(op, self.value(left)?, self.value(right)?),
            _ => None,
        }
    }
}

fn literal(literal: Literal) -> Option<Value> {
    match literal {
        Literal::U32(value) => Some(Value::U32(value)),
        Literal::I32(value) => Some(Value::I32(value)),
        Literal::Bool(value) => Some(Value::Bool(value)),
        _ => None,
    }
}

fn binary(op: B, left: Value, right: Value) -> Option<Value> {
    let wide = |value| match value {
        Value::U32(value) => Some(i64::from(value)),
        Value::I32(value) => Some(i64::from(value)),
        Value::Bool(_) => None,
    };
    let (a, b) = (wide(left)?, wide(right)?);
    let number = match op {
        B::Less => return Some(Value::Bool(a < b)),
        B::LessEqual => return Some(Value::Bool(a <= b)),
        B::Greater => return Some(Value::Bool(a > b)),
        B::GreaterEqual => return Some(Value::Bool(a >= b)),
        B::Equal => return Some(Value::Bool(a == b)),
        B::NotEqual => return Some(Value::Bool(a != b)),
        B::Add => a.wrapping_add(b),
        B::Subtract => a.wrapping_sub(b),
        B::Multiply => a.wrapping_mul(b),
        B::Divide => a.checked_div(b)?,
        B::ShiftLeft => a.checked_shl(u32::try_from(b).ok()?)?,
        B::ShiftRight => a.checked_shr(u32::try_from(b).ok()?)?,
        _ => return None,
    };
    // Both kinds of integers keep the lower 32 bits.
    Some(if matches!(left, Value::U32(_)) { Value::U32(number as u32) } else { Value::I32(number as i32) })
}

#[cfg(test)]
mod tests {
    use crate::kernel::{Launch, Operand};
    use crate::shader::{InstructionKind, Shader};
    use crate::tensor::Encoding;

    /// Returns the number of loop depths of a kernel with this loop, and the popcounts outside
    /// loops of unknown length.
    fn counted(body: &str) -> (usize, u64) {
        let text = format!("const N: u32 = 6u;\n@main {{ var sum = 0u; {body} y[thread] = sum; }}");
        let launch = Launch::new("probe", &[String::leak(text)])
            .read("x", Encoding::Planes(1), Operand::Input(0))
            .write("y", Encoding::Planes(1), Operand::Output);
        let mix = Shader::of(&launch.kernel).unwrap_or_else(|error| panic!("{body}: {error}")).mix;
        (mix.by_depth().len(), mix.outside().of(InstructionKind::Popcount))
    }

    #[test]
    fn loops_of_known_length_are_gone_through() {
        let popcount = "{ sum += countOneBits(x[i]); }";
        for (head, trips) in [
            ("for (var i = 0u; i < 5u; i++)", 5),
            ("for (var i = 1u; i <= N; i += 2u)", 3),
            ("for (var i = 32u; i > 0u; i >>= 1u)", 6),
            ("for (var i = 3; i >= 0; i--)", 4),
            ("for (var i = 0u; i < N - N; i++)", 0),
            (
                "for (var j = 0u; j < 2u; j++) { for (var i = 0u; i < 3u; i++) { sum += countOneBits(x[i + j]); } } for (var i = 0u; i < 1u; i++)",
                7,
            ),
            ("var i = 0u; while (i < 4u) { i++; sum += 1u; } i = 2u; for (; i < 4u; i++)", 2),
        ] {
            let body = format!("{head} {popcount}");
            let unknown = usize::from(head.contains("while"));
            assert_eq!(counted(&body), (1 + unknown, trips), "{body}");
        }
    }

    #[test]
    fn other_loops_are_unknown() {
        for body in [
            "for (var i = 0u; i < x[0]; i++) { sum += countOneBits(x[i]); }",
            "for (var i = thread; i < 4u; i++) { sum += countOneBits(x[i]); }",
            "for (var i = 0u; i < 4u; i++) { sum += countOneBits(x[i]); if (sum == 9u) { break; } }",
            "for (var i = 0u; i < 4u; i++) { sum += countOneBits(x[i]); if (sum == 9u) { return; } }",
            "for (var i = 0u; i < 4u; i++) { sum += countOneBits(x[i]); if (sum == 9u) { i++; } }",
            "for (var i = 0u; i < 4u; i += x[1]) { sum += countOneBits(x[i]); }",
            "for (var i = 0u; i < 4u; i += 0u) { sum += countOneBits(x[i]); }",
            "var i = 0u; let end = i + 4u; for (; i < end; i++) { sum += countOneBits(x[i]); }",
            "var i = 0u; i = x[3]; if (i > 2u) { i = 1u; } for (; i < 4u; i++) { sum += countOneBits(x[i]); }",
        ] {
            assert_eq!(counted(body), (2, 0), "{body}");
        }
        // In the second iteration of the outer loop, i keeps its value from the first.
        let body = "var i = 0u; for (var j = 0u; j < 2u; j++) { for (; i < 4u; i++) { sum += countOneBits(x[i]); } }";
        assert_eq!(counted(body), (2, 0));
    }
}
