//! Voice activity: Silero through ONNX Runtime, one probability for 32 ms, many channels at once.

mod spectrum;

use std::path::Path;

use ort::{session::Session, value::TensorRef};

use self::spectrum::{Spectra, WIDE, WINDOWS};
use crate::models::{ModelError, session};

/// Samples one probability is for (32 ms at 16 kHz).
pub const FRAME: usize = 512;
/// Samples before the frame that the model sees again.
pub const CONTEXT: usize = 64;
const HIDDEN: usize = 128;

/// A frame of a lower root mean square, of full scale 1, is silence: -66 dB, two of the smallest steps of mu-law.
const SILENCE: f32 = 5e-4;
/// Frames of silence in a row that the model hears, half a second: more than a pause in a sentence. It is not asked about
/// those that follow.
const HEARD: usize = 16;

/// What the model remembers of one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct VadState {
    hidden: Vec<f32>,
    cell: Vec<f32>,
    context: Vec<f32>,
    /// Frames of silence up to here.
    silent: usize,
}

impl Default for VadState {
    fn default() -> Self {
        Self { hidden: vec![0.0; HIDDEN], cell: vec![0.0; HIDDEN], context: vec![0.0; CONTEXT], silent: 0 }
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
    /// Judges what needs no model: silence after silence.
    pub fn pass_silence(&mut self) {
        while self.state.silent >= HEARD && self.next().is_some_and(is_silence) {
            self.judged(0.0);
        }
    }

    /// Whether every frame is judged.
    pub fn is_judged(&self) -> bool {
        self.next().is_none()
    }

    /// The frame to be judged next.
    fn next(&self) -> Option<&[f32]> {
        let from = self.probabilities.len() * FRAME;
        self.audio.get(from..from + FRAME)
    }

    fn judged(&mut self, probability: f32) {
        let Self { state, audio, probabilities } = self;
        let from = probabilities.len() * FRAME;
        let frame = &audio[from..from + FRAME];
        state.silent = if is_silence(frame) { state.silent + 1 } else { 0 };
        state.context.copy_from_slice(&frame[FRAME - CONTEXT..]);
        probabilities.push(probability);
    }
}

fn is_silence(frame: &[f32]) -> bool {
    let mut squares = [0.0; 16];
    for group in frame.as_chunks::<16>().0 {
        for (square, sample) in squares.iter_mut().zip(group) {
            *square += sample * sample;
        }
    }
    squares.iter().sum::<f32>() < SILENCE * SILENCE * FRAME as f32
}

/// The model. Used by one thread at a time.
pub struct Vad {
    session: Session,
    spectra: Spectra,
    heard: Vec<f32>,
    hidden: Vec<f32>,
    cell: Vec<f32>,
}

impl Vad {
    /// Loads the graph.
    ///
    /// # Errors
    /// When the file is not a graph of the expected kind.
    pub fn load(environment: &ort::environment::Environment, file: &Path) -> Result<Self, ModelError> {
        let session = session(environment, file)?;
        Ok(Self { session, spectra: Spectra::new(), heard: Vec::new(), hidden: Vec::new(), cell: Vec::new() })
    }

    /// Judges every frame of every lane, the next frames of all lanes together. Gives how many the model has heard.
    ///
    /// # Errors
    /// When the runtime fails; lanes are then left as they were before the failing step.
    pub fn run(&mut self, lanes: &mut [&mut VadLane]) -> Result<usize, ModelError> {
        let mut heard = 0;
        loop {
            lanes.iter_mut().for_each(|lane| lane.pass_silence());
            let waiting = lanes.iter().filter(|lane| !lane.is_judged()).count();
            if waiting == 0 {
                return Ok(heard);
            }
            self.step(lanes)?;
            heard += waiting;
        }
    }

    fn step(&mut self, lanes: &mut [&mut VadLane]) -> Result<(), ModelError> {
        self.heard.clear();
        self.hidden.clear();
        self.cell.clear();
        for (lane, frame) in lanes.iter().filter_map(|lane| Some((lane, lane.next()?))) {
            let made = self.spectra.of(&lane.state.context, frame, &mut self.heard);
            made.map_err(|error| ModelError::Inference(error.to_string()))?;
            self.hidden.extend_from_slice(&lane.state.hidden);
            self.cell.extend_from_slice(&lane.state.cell);
        }
        let mut rows = self.heard.len() / (WINDOWS * WIDE);
        if rows == 1 {
            // one row alone takes another kernel, which rounds differently: the result must not depend on company
            self.heard.extend_from_within(..);
            self.hidden.extend_from_within(..);
            self.cell.extend_from_within(..);
            rows = 2;
        }
        let outputs = self.session.run(ort::inputs![
            "spectrum" => TensorRef::from_array_view(([rows * WINDOWS, WIDE], self.heard.as_slice()))?,
            "h" => TensorRef::from_array_view(([rows, HIDDEN], self.hidden.as_slice()))?,
            "c" => TensorRef::from_array_view(([rows, HIDDEN], self.cell.as_slice()))?,
        ])?;
        let probability = outputs["p"].try_extract_tensor::<f32>()?.1;
        let hidden = outputs["h2"].try_extract_tensor::<f32>()?.1;
        let cell = outputs["c2"].try_extract_tensor::<f32>()?.1;
        for (row, lane) in lanes.iter_mut().filter(|lane| !lane.is_judged()).enumerate() {
            lane.judged(probability[row]);
            lane.state.hidden.copy_from_slice(&hidden[row * HIDDEN..(row + 1) * HIDDEN]);
            lane.state.cell.copy_from_slice(&cell[row * HIDDEN..(row + 1) * HIDDEN]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(state: VadState, levels: &[f32]) -> VadLane {
        let audio = levels.iter().flat_map(|&level| [level; FRAME]).collect();
        VadLane { state, audio, ..VadLane::default() }
    }

    #[test]
    fn the_model_hears_half_a_second_of_silence_and_not_what_follows() {
        let mut lane = lane(VadState::default(), &[1e-4; HEARD + 3]);
        for _ in 0..HEARD {
            lane.pass_silence();
            assert!(!lane.is_judged());
            lane.judged(0.3);
        }
        lane.pass_silence();
        assert!(lane.is_judged());
        assert_eq!(lane.probabilities[HEARD - 1..], [0.3, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn sound_after_silence_is_heard_with_what_came_right_before_it() {
        let state = VadState { silent: HEARD, ..VadState::default() };
        let mut lane = lane(state, &[1e-4, 1e-3, 1e-4]);
        lane.pass_silence();
        assert_eq!(lane.probabilities, [0.0]);
        assert_eq!(lane.state.context, [1e-4; CONTEXT]);
        lane.judged(0.7);
        // and the model hears half a second of silence again
        lane.pass_silence();
        assert_eq!((lane.probabilities.as_slice(), lane.state.silent), (&[0.0, 0.7][..], 0));
    }
}
