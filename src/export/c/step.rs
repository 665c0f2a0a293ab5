//! The function that computes a group of layers.

use super::constants::Constants;
use super::groups::Group;
use halfwave_infer::{Kind, Network, Op, Type, Window};
use std::fmt::Write as _;

/// A block of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arena {
    Floats,
    Words,
}

impl Arena {
    pub(super) fn of(kind: Kind) -> Self {
        if kind == Kind::Float { Self::Floats } else { Self::Words }
    }
}

/// What is passed for a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// A stored tensor: 0 is the input, i the output of layer i − 1.
    Tensor(usize),
    /// Memory for this function only, of this many elements.
    Scratch(Arena, usize),
}

/// A parameter of the function, always a pointer.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) ty: &'static str,
    pub(super) passed: Passed,
    /// Elements of a pixel, by which the pointer advances; 0 for a pointer to a whole tensor.
    advance: usize,
}

/// The C type of a tensor's elements.
pub(super) fn element(kind: Kind) -> &'static str {
    match kind {
        Kind::Float => "float",
        Kind::Sums(_) => "int32_t",
        Kind::Codes(_) => "uint32_t",
    }
}

/// A function under construction.
pub(super) struct Step<'a> {
    pub(super) network: &'a Network,
    pub(super) types: &'a [Type],
    pub(super) ids: &'a [String],
    pub(super) output: Type,
    pub(super) constants: &'a mut Constants,
    /// Bytes of a threshold.
    pub(super) threshold: usize,
    pub(super) parameters: Vec<Parameter>,
    names: Vec<(&'static str, usize)>,
    window: Option<(Window, [usize; 2])>,
    /// A pool of what the layers before it compute, until it is reached.
    pool: Option<Window>,
    pooled: bool,
    counters: Vec<&'static str>,
    before: Vec<String>,
    body: Vec<String>,
}

/// A finished function: its text, its name, and what it takes.
pub(super) struct Function {
    pub(super) text: String,
    pub(super) name: String,
    pub(super) parameters: Vec<Parameter>,
    /// The tensor that it computes.
    pub(super) value: usize,
}

impl<'a> Step<'a> {
    pub(super) fn new(
        network: &'a Network,
        types: &'a [Type],
        ids: &'a [String],
        constants: &'a mut Constants,
        threshold: usize,
        group: &Group,
    ) -> Self {
        let output = types[group[group.len() - 1] + 1];
        let pool = group.iter().skip(1).find_map(|&layer| match network.layers[layer].op {
            Op::MaxPool { window } | Op::AvgPool { window } => Some(window),
            _ => None,
        });
        let (parameters, names, counters) = (Vec::new(), Vec::new(), Vec::new());
        let (before, body) = (Vec::new(), Vec::new());
        Self {
            network,
            types,
            ids,
            output,
            constants,
            threshold,
            parameters,
            names,
            window: None,
            pool,
            pooled: false,
            counters,
            before,
            body,
        }
    }

    /// Adds a line to what is computed for each pixel.
    pub(super) fn line(&mut self, line: String) {
        self.body.push(line);
    }

    /// Adds a line to what is computed before all pixels.
    pub(super) fn line_before(&mut self, line: String) {
        self.before.push(line);
    }

    /// Names a number; the same name with another number gets the number itself.
    pub(super) fn number(&mut self, name: &'static str, value: usize) -> String {
        match self.names.iter().find(|(known, _)| *known == name) {
            Some((_, known)) if *known == value => name.into(),
            Some(_) => value.to_string(),
            None => {
                self.names.push((name, value));
                name.into()
            }
        }
    }

    /// Whether a number has this name.
    pub(super) fn has_number(&self, name: &str) -> bool {
        self.names.iter().any(|(known, _)| *known == name)
    }

    /// Declares a loop's counter.
    pub(super) fn counter(&mut self, name: &'static str) {
        self.counters.push(name);
    }

    /// Reads a whole tensor.
    pub(super) fn whole(&mut self, value: usize) -> String {
        self.input(value, 0)
    }

    /// Reads a tensor pixel by pixel.
    pub(super) fn pixel(&mut self, value: usize) -> String {
        let ty = self.types[value];
        self.input(value, ty.bytes() / 4 / ty.pixels())
    }

    fn input(&mut self, value: usize, advance: usize) -> String {
        let count = self.parameters.iter().filter(|known| matches!(known.passed, Passed::Tensor(_))).count();
        let name = if count == 0 { String::from("in") } else { format!("in{}", count + 1) };
        let ty = match element(self.types[value].kind) {
            "float" => "const float *",
            "int32_t" => "const int32_t *",
            _ => "const uint32_t *",
        };
        self.parameters.push(Parameter { name: name.clone(), ty, passed: Passed::Tensor(value), advance });
        name
    }

    /// Memory of the function; asked for several times, the same memory of the larger size.
    pub(super) fn scratch(&mut self, name: &'static str, kind: Kind, len: usize) -> &'static str {
        if let Some(known) = self.parameters.iter_mut().find(|known| known.name == name) {
            if let Passed::Scratch(_, known) = &mut known.passed {
                *known = len.max(*known);
            }
            return name;
        }
        let ty = match element(kind) {
            "float" => "float *",
            "int32_t" => "int32_t *",
            _ => "uint32_t *",
        };
        let passed = Passed::Scratch(Arena::of(kind), len);
        self.parameters.push(Parameter { name: name.into(), ty, passed, advance: 0 });
        name
    }

    /// Where a pixel of this type is computed: at its place in the output, if it is the output or
    /// of the same kind, else in memory of the function. Before a pool it is always the latter.
    pub(super) fn target(&mut self, ty: Type, is_output: bool) -> &'static str {
        let before_pool = self.pool.is_some();
        // What the layers before a pool compute has to stay apart from the pool's result.
        let name = |before, after| if self.pooled { after } else { before };
        match (ty.kind, self.output.kind) {
            _ if is_output => "out",
            (Kind::Float, Kind::Float) | (Kind::Sums(_), Kind::Sums(_)) if !before_pool => "out",
            (Kind::Float, _) => self.scratch(name("row", "pooled_row"), ty.kind, ty.channels()),
            (Kind::Sums(_), _) => self.scratch(name("sums", "pooled_sums"), ty.kind, ty.channels()),
            (Kind::Codes(bits), _) => {
                self.scratch(name("codes", "pooled_codes"), ty.kind, usize::from(bits) * ty.words())
            }
        }
    }

    /// Uses a window over an input; returns the arguments that name it and the pixel.
    pub(super) fn window(&mut self, window: &Window, input: &Type) -> String {
        self.window = Some((*window, [input.shape[0], input.shape[1]]));
        let single = self.output.pixels() == 1;
        match self.pool {
            Some(_) if single => "&window, r, s".into(),
            Some(Window { stride: [down, right], .. }) => format!("&window, y * {down} + r, x * {right} + s"),
            None if single => "&window, 0, 0".into(),
            None => "&window, y, x".into(),
        }
    }

    /// Ends what is computed for each pixel of the pool's window; returns where the pool's result of
    /// this type is computed.
    pub(super) fn end_pool(&mut self, ty: Type, is_output: bool) -> (Option<Window>, &'static str) {
        let window = self.pool.take();
        self.pooled = true;
        (window, self.target(ty, is_output))
    }

    /// Repeats what has been computed so far for each pixel of a window: first `start`, after each
    /// pixel `each`.
    pub(super) fn repeat(&mut self, [height, width]: [usize; 2], start: String, each: &str) {
        let lines = std::mem::take(&mut self.body);
        self.counters.extend(["r", "s"]);
        self.body.push(start);
        self.body.push(format!("for (r = 0; r < {height}; r++) {{"));
        self.body.push(format!("    for (s = 0; s < {width}; s++) {{"));
        self.body.extend(lines.iter().map(|line| format!("        {line}")));
        self.body.extend([format!("        {each}"), "    }".into(), "}".into()]);
    }

    /// Returns the function; `about` is its comment.
    pub(super) fn finish(mut self, name: &str, value: usize, about: &str) -> Function {
        let name = format!("{name}_run");
        let ty = match element(self.output.kind) {
            "float" => "float *",
            "int32_t" => "int32_t *",
            _ => "uint32_t *",
        };
        let [height, width, _] = self.output.shape;
        let advance = self.output.bytes() / 4 / self.output.pixels();
        let mut text = comment(about);
        let output = Parameter { name: "out".into(), ty, passed: Passed::Tensor(value), advance };
        let declared: Vec<_> = self
            .parameters
            .iter()
            .chain([&output])
            .map(|parameter| format!("{}{}", parameter.ty, parameter.name))
            .collect();
        text += &wrapped(&format!("static void {name}("), &declared, ")");
        text += "\n{\n";
        let by_place = self.window.is_some();
        let pixels = self.output.pixels();
        if pixels > 1 {
            let counts = [("HEIGHT", height), ("WIDTH", width), ("PIXELS", pixels)];
            self.names.splice(0..0, counts.into_iter().filter(|(name, _)| by_place == (*name != "PIXELS")));
        }
        if !self.names.is_empty() {
            let names: Vec<_> = self.names.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            text += &wrapped("    enum { ", &names, " };\n");
        }
        if let Some((Window { kernel, stride, padding, dilation }, input)) = self.window {
            let pairs = [input, kernel, stride, padding, dilation].map(|[a, b]| format!("{{{a}, {b}}}"));
            let _ = writeln!(text, "    static const struct window window = {{{}}};", pairs.join(", "));
        }
        let mut counters = match (pixels, by_place) {
            (1, _) => vec![],
            (_, true) => vec!["y", "x"],
            (_, false) => vec!["pixel"],
        };
        counters.extend(&self.counters);
        if !counters.is_empty() {
            let _ = writeln!(text, "    int {};", counters.join(", "));
        }
        for line in &self.before {
            let _ = writeln!(text, "    {line}");
        }
        let moving = self.parameters.iter().chain([&output]).filter(|parameter| parameter.advance > 0);
        let moves: Vec<_> = moving.map(|parameter| format!("{} += {}", parameter.name, parameter.advance)).collect();
        let moves = moves.join(", ");
        let indent = match (pixels, by_place) {
            (1, _) => 4,
            (_, true) => {
                let _ = writeln!(text, "    for (y = 0; y < HEIGHT; y++) {{");
                let _ = writeln!(text, "        for (x = 0; x < WIDTH; x++, {moves}) {{");
                12
            }
            (_, false) => {
                let _ = writeln!(text, "    for (pixel = 0; pixel < PIXELS; pixel++, {moves}) {{");
                8
            }
        };
        for line in &self.body {
            let _ = writeln!(text, "{:indent$}{line}", "");
        }
        for indent in (4..indent).step_by(4).rev() {
            let _ = writeln!(text, "{:indent$}}}", "");
        }
        text += "}\n";
        self.parameters.push(output);
        Function { text, name, parameters: self.parameters, value }
    }
}

/// Items between an opening and a closing text, in lines of at most 100 characters.
pub(super) fn wrapped(open: &str, items: &[String], close: &str) -> String {
    let mut text = String::from(open);
    let mut width = open.len();
    for (at, item) in items.iter().enumerate() {
        let end = if at + 1 < items.len() { "," } else { close };
        if at > 0 && width + 1 + item.len() + end.len() > 100 {
            let _ = write!(text, "\n{:indent$}", "", indent = open.len());
            width = open.len();
        } else if at > 0 {
            text.push(' ');
            width += 1;
        }
        text += item;
        text += end;
        width += item.len() + end.len();
    }
    text
}

/// A comment in lines of at most 100 characters.
pub(super) fn comment(text: &str) -> String {
    let mut lines = String::from("/*");
    let mut width = 2;
    for word in text.split_whitespace() {
        if width + 1 + word.len() > 97 {
            lines += "\n *";
            width = 2;
        }
        lines.push(' ');
        lines += word;
        width += 1 + word.len();
    }
    lines + " */\n"
}
