//! `halfwave new`: writes a recipe that suits a data set.

use super::terminal::{grouped, print};
use halfwave::data::{Dataset, Found, Part, PictureSizes, Split, inspect};
use halfwave::files::{self, quoted};
use halfwave::recipe::{self, Data, Recipe, Set};
use halfwave::{Error, Result};
use std::path::{Path, PathBuf};

/// Write a recipe for your own images: a folder of pictures, IDX or CIFAR files, or an .npz archive.
#[derive(clap::Args)]
#[command(
    after_help = "The recipe has a network of suitable size with 1-bit weights and 2-bit activations, the measured mean and standard deviation of the images, and an augmentation, batch size and length that suit their number. It is commented: change what you like.\n\nExamples:\n  halfwave new pets                  writes pets.toml for the pictures in pets/<class>/\n  halfwave new mnist --out my.toml   for the IDX files in this folder\n  halfwave new pets --size 96        scales the pictures to 96 × 96 pixels\n  halfwave new mine                  writes mine.toml, a copy of the digits recipe, to start from"
)]
pub(super) struct NewArgs {
    /// Folder or .npz file with the images; or, if there is none of that name, the name of a recipe
    /// for the embedded digits
    #[arg(value_name = "DIR|FILE|NAME")]
    source: PathBuf,
    /// Recipe to write [default: the name of the folder or file with .toml, in the current folder]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Side of the square that pictures are scaled to, in pixels [default: 16 to 64, by their size]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(8..=512))]
    size: Option<u16>,
}

/// Number of images of which mean and standard deviation are measured.
const MEASURED: usize = 2000;

pub(super) fn new(args: &NewArgs) -> Result<()> {
    let source = &args.source;
    let name = name_of(source);
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.toml")));
    files::check_new(&out)?;
    let digits = !source.exists();
    let (text, what) = if digits {
        if source.components().count() > 1 || source.extension().is_some_and(|end| end != "toml") {
            return Err(Error::Usage(format!("{}: no such folder or file", source.display())));
        }
        let text = recipe::builtin("digits").expect("it is embedded");
        (text.to_string(), format!("there is no folder {name}: this is a copy of the recipe for the embedded digits"))
    } else {
        let found = inspect(source)?;
        let plan = Plan::new(found, args.size.map(usize::from))?;
        (plan.toml(source), plan.about())
    };
    // A mistake in the text would be one of this program, but it should not reach the user.
    Recipe::parse(&text, &out.display().to_string())?;
    files::replace(&out, text.as_bytes())?;
    let path = quoted(&out);
    print(&format!("{what}\nwritten to {}; next:\n  halfwave summary {path}\n  halfwave train {path}\n", out.display()))
}

/// The name of a folder, or of a file without its extension.
fn name_of(path: &Path) -> String {
    let resolved = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let name = if resolved.is_dir() { resolved.file_name() } else { resolved.file_stem() };
    name.map_or("new".into(), |name| name.to_string_lossy().into_owned())
}

/// The choices for a data set.
struct Plan {
    set: Set,
    classes: Vec<String>,
    pictures: Option<PictureSizes>,
    /// Numbers of training, validation and test images.
    counts: [usize; 3],
    validation: f64,
    has_validation: bool,
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Plan {
    fn new(found: Found, size: Option<usize>) -> Result<Self> {
        let Found { mut set, classes, pictures, has_validation } = found;
        match (&mut set, size) {
            (Set::Folder(folder), size) => {
                let shorter = folder.image[1].min(folder.image[2]);
                let side = size.unwrap_or(match shorter {
                    0..24 => 16,
                    24..48 => 32,
                    _ => 64,
                });
                (folder.image[1], folder.image[2]) = (side, side);
            }
            (_, None) => {}
            (set, Some(_)) => {
                let advice = "--size applies to folders of pictures";
                return Err(Error::Usage(format!("the images of {} are not scaled; {advice}", set.name())));
            }
        }
        if classes.len() < 2 {
            return Err(Error::Data(format!(
                "there is only one class, {}; a network needs at least two to tell apart",
                classes.first().map_or("", String::as_str)
            )));
        }
        let mut data = Data::from(set.clone());
        let whole = Dataset::load(&data)?;
        data.scale = [1.0 / 255.0, 0.0];
        let (mean, std) = measure(&whole.train)?;
        // Each class needs some images to train on and to validate with.
        let enough = whole.train.len() >= 20 * classes.len();
        let validation = if has_validation || !enough { 0.0 } else { 0.1 };
        let count = |part| whole.part(part).map_or(0, Split::len);
        let counts = [Part::Train, Part::Validation, Part::Test].map(count);
        Ok(Self { set, classes, pictures, counts, validation, has_validation, mean, std })
    }

    /// Images per step: about 1/20 of an epoch, a power of two from 8 to 128.
    fn batch(&self) -> usize {
        (self.counts[0] / 20).max(8).next_power_of_two().min(128).min(self.counts[0])
    }

    /// Epochs of about 3000 steps in total, 10 to 60.
    fn epochs(&self) -> usize {
        (3000 * self.batch() / self.counts[0].max(1)).clamp(10, 60)
    }

    /// The recipe whose network is used: one with as many pools as the images allow.
    fn network(&self) -> &'static str {
        let [_, height, width] = self.set.image();
        if height.min(width) < 24 { "digits" } else { "vgg-small-quarter" }
    }

    /// One line about what was found.
    fn about(&self) -> String {
        let [train, validation, test] = self.counts.map(|count| grouped(count as u64));
        let [channels, height, width] = self.set.image();
        let shown: Vec<_> = self.classes.iter().take(6).map(String::as_str).collect();
        let more = if self.classes.len() > shown.len() { ", …" } else { "" };
        let validation = if self.has_validation { format!(", {validation} for validation") } else { String::new() };
        let colour = if channels == 1 { "grey" } else { "in colour" };
        let pictures = match self.pictures {
            Some(PictureSizes { median: [w, h], equal: true, .. }) => {
                format!("pictures of {w} × {h} pixels, {colour}, scaled to {width} × {height}")
            }
            Some(PictureSizes { median: [w, h], .. }) => {
                format!(
                    "pictures of different sizes ({w} × {h} pixels in the middle), {colour}, scaled to {width} × {height}"
                )
            }
            None => format!("images of {width} × {height} pixels, {colour}"),
        };
        format!(
            "{}: {} classes ({}{more}); {train} images to train on{validation}, {test} to test on; {pictures}",
            self.set.name(),
            self.classes.len(),
            shown.join(", ")
        )
    }

    fn toml(&self, source: &Path) -> String {
        let [channels, height, width] = self.set.image();
        let classes = self.classes.len();
        let side = height.min(width);
        let scaled = if self.pictures.is_some() { ": pictures are scaled to this" } else { "" };
        let list = |values: &[f32]| values.iter().map(|value| format!("{value:.4}")).collect::<Vec<_>>().join(", ");
        let mut text = format!(
            "# Written by: halfwave new {}\n# {}.\n# All keys: `halfwave recipe --schema` for editors, `halfwave layers`, and the guide.\nextends = \"{}\"           # the network; `halfwave summary` shows its layers\n\n",
            quoted(source),
            self.about(),
            self.network()
        );
        text += &format!(
            "[model]\ninput = [{channels}, {height}, {width}]     # channels, height, width{scaled}\nclasses = {classes}\n\n[[model.change]]\nmatch = \"fc\"              # the last layer has an output per class\nunits = {classes}\n\n"
        );
        let mut set = self.set.clone();
        text += &format!("[data]\nset = \"{}\"\n", set.name());
        if let Some(location) = set.location() {
            let path = toml::Value::String(location.path.to_string_lossy().into_owned());
            text += &format!("{} = {path}\n", location.key.name);
        }
        if self.set.name() == "cifar10" {
            text += "mean_image = false      # as the recipe above does\n";
        }
        text += &format!(
            "scale = [{}, 0.0]   # a pixel of 0 to {} becomes 0 to 1,\nmean = [{}]         # minus the mean of each channel, measured on the training images,\nstd = [{}]          # divided by the standard deviation\n",
            1.0 / f32::from(self.set.max_pixel()),
            self.set.max_pixel(),
            list(&self.mean),
            list(&self.std)
        );
        text += &match (self.has_validation, self.validation) {
            (true, _) => "validation = 0          # the set has validation images of its own\n\n".to_string(),
            (false, 0.0) => "validation = 0          # there are too few images to hold some out\n\n".to_string(),
            (false, share) => {
                format!(
                    "validation = {share}        # share of the training images held out to choose the best epoch\n\n"
                )
            }
        };
        let (mirror, why) = match channels {
            1 => (false, "write true if left and right do not matter; in writing they do"),
            _ => (true, "flip half of the images; write false if left and right matter"),
        };
        text += &format!(
            "[data.augment]          # random changes of the training images\npad = {}                 # shift by up to this many pixels\nmirror = {mirror}           # {why}\n\n",
            side / 8
        );
        text += &format!(
            "[train]\nbatch = {}              # images per step\nepochs = {}\n\n",
            self.batch(),
            self.epochs()
        );
        text + "[train.optimizer]\nkind = \"adam\"\nlr = 0.003\n\n[train.schedule]\nkind = \"cosine\"         # the learning rate falls to 0 over the run\n"
    }
}

/// Mean and standard deviation of each channel of training images, as shares of the largest pixel.
fn measure(train: &Split) -> Result<(Vec<f32>, Vec<f32>)> {
    let every = train.len().div_ceil(MEASURED).max(1);
    let index: Vec<u32> = (0..train.len()).step_by(every).map(|at| at as u32).collect();
    let pixels = train.read(&index)?;
    let channels = train.shape[0];
    let of_channel = |channel: usize| {
        let values = || pixels.iter().skip(channel).step_by(channels).map(|&pixel| f64::from(pixel) / 255.0);
        let count = values().count().max(1) as f64;
        let mean = values().sum::<f64>() / count;
        let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        // A channel without any contrast is left as it is.
        (mean as f32, if variance > 1e-6 { variance.sqrt() as f32 } else { 1.0 })
    };
    Ok((0..channels).map(of_channel).unzip())
}
