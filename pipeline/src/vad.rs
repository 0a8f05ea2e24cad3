//! Voice activity: Silero through ONNX Runtime, one probability for 32 ms, many channels at once.

use std::path::Path;

use ort::{session::Session, value::TensorRef};

use crate::models::{ModelError, session};

/// Samples one probability is for (32 ms at 16 kHz).
pub const FRAME: usize = 512;
/// Samples before the frame that the model sees again.
pub const CONTEXT: usize = 64;
const INPUT: usize = CONTEXT + FRAME;
const HIDDEN: usize = 128;

/// What the model remembers of one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct VadState {
    hidden: Vec<f32>,
    cell: Vec<f32>,
    context: Vec<f32>,
}

impl Default for VadState {
    fn default() -> Self {
        Self { hidden: vec![0.0; HIDDEN], cell: vec![0.0; HIDDEN], context: vec![0.0; CONTEXT] }
    }
}

/// Consecutive frames of one channel with its state; `probabilities` grows by one a frame.
#[derive(Debug, Default)]
pub struct VadLane {
    pub state: VadState,
    /// A whole number of frames.
    pub audio: Vec<f32>,
    pub probabilities: Vec<f32>,
}

impl VadLane {
    fn frames(&self) -> usize {
        self.audio.len() / FRAME
    }
}

/// The model. Used by one thread at a time.
pub struct Vad {
    session: Session,
    input: Vec<f32>,
    hidden: Vec<f32>,
    cell: Vec<f32>,
}

impl Vad {
    /// Loads the graph.
    ///
    /// # Errors
    /// When the file is not a graph of the expected kind.
    pub fn load(environment: &ort::environment::Environment, file: &Path) -> Result<Self, ModelError> {
        Ok(Self { session: session(environment, file)?, input: Vec::new(), hidden: Vec::new(), cell: Vec::new() })
    }

    /// Judges every frame of every lane, the n-th frames of all lanes together.
    ///
    /// # Errors
    /// When the runtime fails; lanes are then left as they were before the failing step.
    pub fn run(&mut self, lanes: &mut [&mut VadLane]) -> Result<(), ModelError> {
        let longest = lanes.iter().map(|lane| lane.frames()).max().unwrap_or(0);
        for step in 0..longest {
            self.step(lanes, step)?;
        }
        Ok(())
    }

    fn step(&mut self, lanes: &mut [&mut VadLane], step: usize) -> Result<(), ModelError> {
        self.input.clear();
        self.hidden.clear();
        self.cell.clear();
        let live = |lane: &VadLane| lane.frames() > step;
        for lane in lanes.iter().filter(|lane| live(lane)) {
            self.input.extend_from_slice(&lane.state.context);
            self.input.extend_from_slice(&lane.audio[step * FRAME..(step + 1) * FRAME]);
            self.hidden.extend_from_slice(&lane.state.hidden);
            self.cell.extend_from_slice(&lane.state.cell);
        }
        let mut rows = self.input.len() / INPUT;
        if rows == 1 {
            // one row alone takes another kernel, which rounds differently: the result must not depend on company
            self.input.extend_from_within(..);
            self.hidden.extend_from_within(..);
            self.cell.extend_from_within(..);
            rows = 2;
        }
        let outputs = self.session.run(ort::inputs![
            "input" => TensorRef::from_array_view(([rows, INPUT], self.input.as_slice()))?,
            "h" => TensorRef::from_array_view(([rows, HIDDEN], self.hidden.as_slice()))?,
            "c" => TensorRef::from_array_view(([rows, HIDDEN], self.cell.as_slice()))?,
        ])?;
        let probability = outputs["p"].try_extract_tensor::<f32>()?.1;
        let hidden = outputs["h2"].try_extract_tensor::<f32>()?.1;
        let cell = outputs["c2"].try_extract_tensor::<f32>()?.1;
        for (row, lane) in lanes.iter_mut().filter(|lane| live(lane)).enumerate() {
            lane.probabilities.push(probability[row]);
            lane.state.hidden.copy_from_slice(&hidden[row * HIDDEN..(row + 1) * HIDDEN]);
            lane.state.cell.copy_from_slice(&cell[row * HIDDEN..(row + 1) * HIDDEN]);
            let end = (step + 1) * FRAME;
            lane.state.context.copy_from_slice(&lane.audio[end - CONTEXT..end]);
        }
        Ok(())
    }
}
