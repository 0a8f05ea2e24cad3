//! With the real model on real sound: what is written down depends on the window and the prefix alone.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use serde_json::Value;
use sotto_ingest::file;
use sotto_loadtest::bench::scaled;
use sotto_pipeline::{
    Models,
    recogniser::{Hypothesis, Job, Kept, Moonshine},
    transcript::Rolling,
};
use tempfile::TempDir;

const RECOGNISERS: [&str; 2] = ["tiny", "base"];
/// Windows of the sample call, in samples.
const WINDOWS: [(usize, usize, usize); 8] = [
    (0, 6_000, 60_000),
    (0, 8_000, 20_000),
    (1, 70_000, 150_000),
    (1, 70_000, 86_000),
    (0, 160_000, 300_000),
    (1, 300_000, 301_000),
    (0, 310_000, 360_000),
    (1, 200_000, 296_000),
];

/// The models, and each recogniser again under a name of its own, with the graphs that hear changed for those of the other
/// kind of processors. Lie in a folder that goes away.
fn models() -> (Models, TempDir) {
    let folder = std::env::var_os("SOTTO_MODELS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| panic!("SOTTO_MODELS names the folder that models/fetch prints"));
    let folder = fs::canonicalize(folder).unwrap();
    let made = tempfile::tempdir().unwrap();
    let mut manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let link = |manifest: &mut Value, from: &str, to: &str| {
        let place = made.path().join(to);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        symlink(folder.join(from), place).unwrap();
        manifest["files"][to] = manifest["files"][from].clone();
    };
    link(&mut manifest, "libonnxruntime.so", "libonnxruntime.so");
    link(&mut manifest, "vad.onnx", "vad.onnx");
    for name in RECOGNISERS {
        let other = other(name);
        for file in ["decoder.onnx", "tokenizer.bin"] {
            link(&mut manifest, &format!("{name}/{file}"), &format!("{name}/{file}"));
            link(&mut manifest, &format!("{name}/{file}"), &format!("{other}/{file}"));
        }
        for file in ["stem.onnx", "encoder.onnx"] {
            for (kind, other_kind) in [("", "avx2/"), ("avx2/", "")] {
                link(&mut manifest, &format!("{name}/{kind}{file}"), &format!("{name}/{kind}{file}"));
                link(&mut manifest, &format!("{name}/{kind}{file}"), &format!("{other}/{other_kind}{file}"));
            }
        }
        manifest["recognisers"][other] = manifest["recognisers"][name].clone();
    }
    fs::write(made.path().join("manifest.json"), manifest.to_string()).unwrap();
    (Models::open(made.path()).unwrap(), made)
}

fn other(name: &str) -> String {
    format!("{name}-other")
}

fn channels() -> Vec<Vec<f32>> {
    let call = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/audio/sample_call.flac");
    let call = file::read(&call).unwrap();
    assert_eq!(call.rate, 16_000);
    call.channels.iter().map(|channel| scaled(channel)).collect()
}

fn job(sound: &[f32], prefix: &[u32], draft: &[u32]) -> Job {
    let (prefix, draft) = (prefix.to_vec(), draft.to_vec());
    Job { audio: sound.to_vec(), length: sound.len(), prefix, draft, ..Job::default() }
}

fn admit(model: &mut Moonshine, jobs: Vec<(u64, Job)>) {
    let fed = model.front_end.feed(jobs).unwrap();
    model.decoder.admit(model.encoder.encode(fed).unwrap());
}

/// Everything that is under way, in the order of the numbers.
fn finish(model: &mut Moonshine) -> Vec<(u64, Hypothesis)> {
    let mut all = Vec::new();
    while model.decoder.live() > 0 {
        all.extend(model.decoder.pass().unwrap().into_iter().map(|done| (done.number, done.hypothesis)));
    }
    all.sort_by_key(|(number, _)| *number);
    all
}

fn alone(model: &mut Moonshine, job: Job) -> Hypothesis {
    admit(model, vec![(0, job)]);
    finish(model).remove(0).1
}

/// A small generator: the test must run the same everywhere.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

/// One test, since a process has the runtime once.
#[test]
fn a_hypothesis_depends_on_its_window_and_prefix_alone() {
    let ((models, _folder), channels) = (models(), channels());
    for name in RECOGNISERS {
        let mut model = models.recogniser(name).unwrap();
        every_processor_hears_the_same(&mut model, &mut models.recogniser(&other(name)).unwrap(), &channels);
        neither_mates_nor_drafts_nor_the_moment_of_joining_change_it(&mut model, &channels);
        a_window_that_grew_is_heard_as_one_that_came_at_once(&mut model, &channels);
        a_prefix_is_kept_and_gone_on_from(&mut model, &channels);
        rolling_hypotheses_do_not_miss_what_has_been_let_go(&mut model, &channels);
        an_utterance_that_ends_under_a_rolling_hypothesis_harms_no_other(&mut model, &channels);
        rolling_hypotheses_are_close_and_leave_exact_ones_alone(&mut model, &channels);
    }
}

fn every_processor_hears_the_same(this: &mut Moonshine, other: &mut Moonshine, channels: &[Vec<f32>]) {
    for (channel, from, to) in WINDOWS {
        let job = || job(&channels[channel][from..to], &[], &[]);
        assert_eq!(alone(this, job()), alone(other, job()), "{from} to {to} of channel {channel}");
    }
}

fn neither_mates_nor_drafts_nor_the_moment_of_joining_change_it(model: &mut Moonshine, channels: &[Vec<f32>]) {
    let sounds: Vec<&[f32]> = WINDOWS.iter().map(|&(channel, from, to)| &channels[channel][from..to]).collect();
    let want: Vec<Hypothesis> = sounds.iter().map(|sound| alone(model, job(sound, &[], &[]))).collect();
    assert!(want.iter().map(|made| made.tokens.len()).sum::<usize>() > 60, "the sample call has words");
    let mut state = 7;
    for round in 0..12 {
        let mut made = Vec::new();
        let mut waiting: Vec<usize> = (0..sounds.len()).collect();
        while !waiting.is_empty() {
            let mut batch = Vec::new();
            for _ in 0..=next(&mut state) % 3 {
                if waiting.is_empty() {
                    break;
                }
                let index = waiting.swap_remove(next(&mut state) % waiting.len());
                // a draft that is right, right for a while, or not at all
                let mut draft = want[index].tokens.clone();
                match next(&mut state) % 4 {
                    0 => draft.clear(),
                    1 => draft.iter_mut().skip(2).for_each(|token| *token += 1),
                    2 => draft.truncate(3),
                    _ => {}
                }
                batch.push((index as u64, job(sounds[index], &[], &draft)));
            }
            admit(model, batch);
            made.extend(model.decoder.pass().unwrap().into_iter().map(|done| (done.number, done.hypothesis)));
        }
        made.extend(finish(model));
        made.sort_by_key(|(number, _)| *number);
        let made: Vec<Hypothesis> = made.into_iter().map(|(_, made)| made).collect();
        assert_eq!(made, want, "round {round}");
    }
}

fn a_window_that_grew_is_heard_as_one_that_came_at_once(model: &mut Moonshine, channels: &[Vec<f32>]) {
    let sound = &channels[0][6_000..86_000];
    let want = alone(model, job(sound, &[], &[]));
    for cuts in [&[20_000, 80_000][..], &[3_200, 6_400, 9_600, 41_111, 80_000], &[79_999, 80_000]] {
        let kept: Arc<Mutex<Kept>> = Arc::default();
        let mut last = Hypothesis::default();
        for &end in cuts {
            let from = kept.lock().unwrap().needs_from();
            let audio = sound[from..end].to_vec();
            let draft = last.tokens.clone();
            let job = Job { kept: Arc::clone(&kept), audio, from, length: end, draft, ..Job::default() };
            last = alone(model, job);
        }
        assert_eq!(last, want, "{cuts:?}");
    }
    // a window that ends before what is known already
    let kept: Arc<Mutex<Kept>> = Arc::default();
    let feed = |kept: &Arc<Mutex<Kept>>, end: usize| {
        let from = kept.lock().unwrap().needs_from().min(end);
        Job { kept: Arc::clone(kept), audio: sound[from..end].to_vec(), from, length: end, ..Job::default() }
    };
    alone(model, feed(&kept, 80_000));
    let shorter = alone(model, feed(&kept, 50_000));
    assert_eq!(shorter, alone(model, job(&sound[..50_000], &[], &[])));
}

fn a_prefix_is_kept_and_gone_on_from(model: &mut Moonshine, channels: &[Vec<f32>]) {
    let sound = &channels[0][6_000..60_000];
    let whole = alone(model, job(sound, &[], &[]));
    let prefix = &whole.tokens[..4];
    let again = alone(model, job(sound, prefix, &[]));
    assert_eq!(again.tokens, whole.tokens);
    let drafted = alone(model, job(sound, prefix, &whole.tokens[4..]));
    assert_eq!(drafted, again);
}

fn rolling_hypotheses_do_not_miss_what_has_been_let_go(model: &mut Moonshine, channels: &[Vec<f32>]) {
    let sound = &channels[0][6_000..126_000];
    let mut roll = |kept: Kept| -> Vec<Hypothesis> {
        let kept = Arc::new(Mutex::new(kept));
        let ends = (8_000..=120_000).step_by(8_000);
        ends.map(|end| {
            let from = kept.lock().unwrap().needs_from();
            let audio = sound[from..end].to_vec();
            let job = Job { kept: Arc::clone(&kept), rolling: true, audio, from, length: end, ..Job::default() };
            alone(model, job)
        })
        .collect()
    };
    assert_eq!(roll(Kept::new(true)), roll(Kept::new(false)));
}

fn an_utterance_that_ends_under_a_rolling_hypothesis_harms_no_other(model: &mut Moonshine, channels: &[Vec<f32>]) {
    let (sound, other) = (&channels[1][70_000..150_000], &channels[0][160_000..300_000]);
    let want = alone(model, job(other, &[], &[]));
    let mut rolling = Rolling::new(false);
    for end in [40_000, 56_000] {
        let asked = rolling.next(end, &sound[rolling.needs_from()..end]);
        alone(model, asked);
    }
    // it ends when the next one has been asked for and has not come to the encoder
    assert!(rolling.needs_from() > 0);
    let asked = rolling.next(72_000, &sound[rolling.needs_from()..72_000]);
    rolling.close(true);
    admit(model, vec![(0, asked), (1, job(other, &[], &[]))]);
    assert_eq!(finish(model).remove(1).1, want);
}

fn rolling_hypotheses_are_close_and_leave_exact_ones_alone(model: &mut Moonshine, channels: &[Vec<f32>]) {
    let sound = &channels[0][6_000..126_000];
    let kept: Arc<Mutex<Kept>> = Arc::default();
    let ask = |end: usize, rolling: bool, draft: &[u32], prefix: &[u32]| {
        let from = kept.lock().unwrap().needs_from().min(end);
        let (audio, draft, prefix) = (sound[from..end].to_vec(), draft.to_vec(), prefix.to_vec());
        let padding = if rolling { 0 } else { 4_800 };
        Job { kept: Arc::clone(&kept), rolling, audio, from, length: end, padding, prefix, draft }
    };
    let (mut last, mut rolled): (Vec<u32>, Vec<u32>) = Default::default();
    for end in (8_000..=120_000).step_by(8_000) {
        let settled = last.iter().zip(&rolled).take_while(|(a, b)| a == b).count().saturating_sub(6);
        last = rolled;
        rolled = alone(model, ask(end, true, &last[settled..], &last[..settled])).tokens;
        let exact = alone(model, ask(end, false, &rolled, &[]));
        let padded = [&sound[..end], &[0.0; 4_800]].concat();
        assert_eq!(exact, alone(model, job(&padded, &[], &[])), "{end}");
    }
    // of an utterance that is cut, rolling ones have heard more than the exact one is to hear
    let mut rolling = Rolling::new(true);
    for end in [40_000, 80_000, 120_000] {
        let from = rolling.needs_from();
        alone(model, rolling.next(end, &sound[from..end]));
    }
    for end in [96_000, 119_000, 120_000] {
        let padded = [&sound[..end], &[0.0; 4_800]].concat();
        let exact = alone(model, Job { padding: 4_800, ..rolling.exact(&sound[..end]) });
        assert_eq!(exact, alone(model, job(&padded, &[], &[])), "cut at {end}");
    }
    let exact = alone(model, ask(120_000, false, &rolled, &[])).tokens;
    let same = exact.iter().filter(|token| rolled.contains(token)).count();
    assert!(exact.len() > 15 && 10 * same >= 7 * exact.len(), "{rolled:?} and {exact:?}");
}
