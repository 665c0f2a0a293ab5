//! `[model]` and `[[model.layers]]` of a recipe.

use super::{CustomKind, INPUT, Layer, LayerKind, Model, Relu, builtin_kinds, custom, products::SOME};
use crate::schema::{Integers, Keys, Kinds, Setting, Tables, Visitor, key, whole, wide};

impl Keys for Model {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let each = SOME;
        let advice =
            format!("give a list of 3, each {}, such as [3, 32, 32] (channels, height, width)", whole(&wide(&each)));
        let sizes = Integers { each, fit: |_| true, advice: advice.into() };
        let input = key("input", "channels, height and width of an image").required("[3, 32, 32]");
        visitor.visit(input, Setting::Integers(&mut self.input, sizes));
        let classes = key("classes", "number of classes, which is the number of values of the last layer");
        visitor.visit(classes.required("10"), Setting::Integer(&mut self.classes, SOME));
        visitor.visit(key("layers", "the layers, inputs before users"), Setting::Tables(&mut self.layers));
    }
}

impl Tables for Vec<Layer> {
    fn what(&self) -> Option<&'static str> {
        Some("layer")
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn item(&mut self, at: usize) -> &mut dyn Keys {
        &mut self[at]
    }

    fn add(&mut self, line: usize) -> &mut dyn Keys {
        let previous = self.last().map_or(INPUT, |layer| &layer.name).to_string();
        self.push(Layer { line, ..Layer::new("", &previous, LayerKind::Relu(Relu)) });
        self.last_mut().expect("one was added")
    }
}

impl Keys for Layer {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let name = key("name", "unique name: letters, digits, `_`, `-` and `.`").required("\"conv1\"");
        visitor.visit(name, Setting::Text(&mut self.name));
        visitor.visit(key("kind", "the computation"), Setting::Kind(&mut self.kind));
        let from = key("from", "names of the input layers, or `input`").by_default("the preceding layer");
        visitor.visit(from, Setting::Texts(&mut self.from));
        self.kind.keys().keys(visitor);
    }
}

impl Kinds for LayerKind {
    fn all(&self) -> Vec<(&'static str, &'static str)> {
        let builtin = builtin_kinds().iter().map(|kind| (kind.name, kind.formula));
        builtin.chain(custom::registered().into_iter().map(CustomKind::named_formula)).collect()
    }

    fn name(&self) -> &'static str {
        self.name()
    }

    fn choose(&mut self, at: usize) {
        *self = match builtin_kinds().get(at) {
            Some(kind) => kind.start.clone(),
            None => custom::registered()[at - builtin_kinds().len()].start(),
        };
    }
}
