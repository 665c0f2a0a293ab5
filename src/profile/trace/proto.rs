//! Those messages of Perfetto's trace format that a trace needs, with the field numbers of
//! [Perfetto's .proto files](https://github.com/google/perfetto/tree/main/protos/perfetto/trace).
//!
//! Fields that are never written are left out; a reader treats them as absent.

use prost::{Message, Oneof};

/// `Trace`: the whole file.
#[derive(Clone, PartialEq, Message)]
pub struct Trace {
    /// In the order in which a reader handles them.
    #[prost(message, repeated, tag = "1")]
    pub packet: Vec<TracePacket>,
}

/// `TracePacket`.
#[derive(Clone, PartialEq, Message)]
pub struct TracePacket {
    /// In nanoseconds.
    #[prost(uint64, optional, tag = "8")]
    pub timestamp: Option<u64>,
    /// The sequence that interned names belong to; never 0.
    #[prost(uint32, optional, tag = "10")]
    pub trusted_packet_sequence_id: Option<u32>,
    /// An event.
    #[prost(message, optional, tag = "11")]
    pub track_event: Option<TrackEvent>,
    /// Names for this packet and later ones of the sequence.
    #[prost(message, optional, tag = "12")]
    pub interned_data: Option<InternedData>,
    /// [`STATE_CLEARED`] and [`NEEDS_STATE`].
    #[prost(uint32, optional, tag = "13")]
    pub sequence_flags: Option<u32>,
    /// A track.
    #[prost(message, optional, tag = "60")]
    pub track_descriptor: Option<TrackDescriptor>,
    /// Whether nothing of the sequence was lost before it.
    #[prost(bool, optional, tag = "87")]
    pub first_packet_on_sequence: Option<bool>,
}

/// `TracePacket.SequenceFlags`: earlier interned names are no longer valid.
pub const STATE_CLEARED: u32 = 1;
/// `TracePacket.SequenceFlags`: the packet refers to interned names.
pub const NEEDS_STATE: u32 = 2;

/// `TrackDescriptor`.
#[derive(Clone, PartialEq, Message)]
pub struct TrackDescriptor {
    /// Never 0.
    #[prost(uint64, optional, tag = "1")]
    pub uuid: Option<u64>,
    /// Its title.
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
    /// If it is the track of a process.
    #[prost(message, optional, tag = "3")]
    pub process: Option<ProcessDescriptor>,
    /// The track that it is shown below.
    #[prost(uint64, optional, tag = "5")]
    pub parent_uuid: Option<u64>,
    /// If its events are the values of a counter.
    #[prost(message, optional, tag = "8")]
    pub counter: Option<CounterDescriptor>,
    /// [`EXPLICIT_ORDER`].
    #[prost(int32, optional, tag = "11")]
    pub child_ordering: Option<i32>,
    /// Its place below its parent.
    #[prost(int32, optional, tag = "12")]
    pub sibling_order_rank: Option<i32>,
}

/// `TrackDescriptor.ChildTracksOrdering`: by `sibling_order_rank`.
pub const EXPLICIT_ORDER: i32 = 3;

/// `ProcessDescriptor`.
#[derive(Clone, PartialEq, Message)]
pub struct ProcessDescriptor {
    /// Its number.
    #[prost(int32, optional, tag = "1")]
    pub pid: Option<i32>,
    /// Program and arguments.
    #[prost(string, repeated, tag = "2")]
    pub cmdline: Vec<String>,
    /// Its title.
    #[prost(string, optional, tag = "6")]
    pub process_name: Option<String>,
}

/// `CounterDescriptor`.
#[derive(Clone, PartialEq, Message)]
pub struct CounterDescriptor {
    /// [`SIZE_BYTES`].
    #[prost(int32, optional, tag = "3")]
    pub unit: Option<i32>,
    /// Any other unit.
    #[prost(string, optional, tag = "6")]
    pub unit_name: Option<String>,
}

/// `CounterDescriptor.Unit`: bytes.
pub const SIZE_BYTES: i32 = 3;

/// `TrackEvent`.
#[derive(Clone, PartialEq, Message)]
pub struct TrackEvent {
    /// Interned categories.
    #[prost(uint64, repeated, packed = "false", tag = "3")]
    pub category_iids: Vec<u64>,
    /// Arguments.
    #[prost(message, repeated, tag = "4")]
    pub debug_annotations: Vec<DebugAnnotation>,
    /// [`SLICE_BEGIN`], [`SLICE_END`], [`INSTANT`] or [`COUNTER`].
    #[prost(int32, optional, tag = "9")]
    pub kind: Option<i32>,
    /// Its interned name.
    #[prost(uint64, optional, tag = "10")]
    pub name_iid: Option<u64>,
    /// Its track.
    #[prost(uint64, optional, tag = "11")]
    pub track_uuid: Option<u64>,
    /// The new value of a counter.
    #[prost(double, optional, tag = "44")]
    pub double_counter_value: Option<f64>,
    /// Flows that begin here, or continue.
    #[prost(fixed64, repeated, packed = "false", tag = "47")]
    pub flow_ids: Vec<u64>,
    /// Flows that end here.
    #[prost(fixed64, repeated, packed = "false", tag = "48")]
    pub terminating_flow_ids: Vec<u64>,
}

/// `TrackEvent.Type`: the beginning of a slice.
pub const SLICE_BEGIN: i32 = 1;
/// `TrackEvent.Type`: the end of the innermost slice of a track.
pub const SLICE_END: i32 = 2;
/// `TrackEvent.Type`: an event without a duration.
pub const INSTANT: i32 = 3;
/// `TrackEvent.Type`: a value of a counter.
pub const COUNTER: i32 = 4;

/// `DebugAnnotation`: an argument of an event.
#[derive(Clone, PartialEq, Message)]
pub struct DebugAnnotation {
    /// Its interned name; none for an element of an array.
    #[prost(uint64, optional, tag = "1")]
    pub name_iid: Option<u64>,
    /// A plain value.
    #[prost(oneof = "Plain", tags = "2, 3, 4, 5, 6")]
    pub value: Option<Plain>,
    /// The entries of an object.
    #[prost(message, repeated, tag = "11")]
    pub dict_entries: Vec<DebugAnnotation>,
    /// The elements of an array.
    #[prost(message, repeated, tag = "12")]
    pub array_values: Vec<DebugAnnotation>,
}

/// The plain values of `DebugAnnotation.value`.
#[derive(Clone, PartialEq, Oneof)]
pub enum Plain {
    /// `bool_value`.
    #[prost(bool, tag = "2")]
    Bool(bool),
    /// `uint_value`.
    #[prost(uint64, tag = "3")]
    Unsigned(u64),
    /// `int_value`.
    #[prost(int64, tag = "4")]
    Signed(i64),
    /// `double_value`.
    #[prost(double, tag = "5")]
    Float(f64),
    /// `string_value`.
    #[prost(string, tag = "6")]
    Text(String),
}

/// `InternedData`: names that events refer to by number.
#[derive(Clone, PartialEq, Message)]
pub struct InternedData {
    /// `EventCategory`.
    #[prost(message, repeated, tag = "1")]
    pub event_categories: Vec<Interned>,
    /// `EventName`.
    #[prost(message, repeated, tag = "2")]
    pub event_names: Vec<Interned>,
    /// `DebugAnnotationName`.
    #[prost(message, repeated, tag = "3")]
    pub debug_annotation_names: Vec<Interned>,
}

/// A name with its number, which is never 0.
#[derive(Clone, PartialEq, Message)]
pub struct Interned {
    /// The number.
    #[prost(uint64, optional, tag = "1")]
    pub iid: Option<u64>,
    /// The name.
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
}
