use std::{path::PathBuf, time::Instant};
use sotto_ingest::file;
use sotto_pipeline::{Models, recogniser::{Job, SpeechModel}};
fn main() {
    let models = Models::open(&PathBuf::from(std::env::var_os("SOTTO_MODELS").unwrap())).unwrap();
    let call = file::read(std::path::Path::new("tests/audio/sample_call.flac")).unwrap();
    let sound: Vec<f32> = call.channels[0].iter().map(|&s| f32::from(s) / 32_768.0).collect();
    let name = std::env::args().nth(1).unwrap_or("tiny".into());
    let mut model = models.recogniser(&name).unwrap();
    let window = |secs: f64, k: usize| { let n = (secs * 16000.0) as usize; let from = (k * 7919) % (sound.len() - n); sound[from..from + n].to_vec() };
    println!("encode: seconds x windows -> ms, ms per second");
    for secs in [1.0, 2.0, 3.0, 4.0, 6.0, 8.0] { for count in [1usize, 2, 4] {
        let mut best = f64::MAX;
        for _ in 0..8 {
            let jobs: Vec<_> = (0..count).map(|k| { let audio = window(secs, k); (k as u64, Job { length: audio.len(), audio, ..Job::default() }) }).collect();
            let t = Instant::now(); model.admit(jobs).unwrap(); best = best.min(t.elapsed().as_secs_f64() * 1e3);
            while model.live() > 0 { model.pass().unwrap(); }
        }
        print!("{secs} x {count}: {best:.2} ({:.2})  ", best / secs / count as f64);
    } println!(); }
    println!("decode: sequences of 3 s, 1 token each -> ms a pass; then with a draft of 8");
    for count in [1usize, 2, 3, 4, 6, 8, 12, 16, 24, 32] {
        let run = |model: &mut dyn SpeechModel, draft: usize| {
            let mut all = Vec::new();
            for _ in 0..4 {
                let jobs: Vec<_> = (0..count).map(|k| { let audio = window(3.0, k); (k as u64, Job { length: audio.len(), audio, draft: vec![500; draft], ..Job::default() }) }).collect();
                for job in jobs { model.admit(vec![job]).unwrap(); }
                let t = Instant::now(); model.pass().unwrap(); let first = t.elapsed().as_secs_f64() * 1e3;
                let t = Instant::now(); if model.live() == count { model.pass().unwrap(); }
                let second = t.elapsed().as_secs_f64() * 1e3;
                all.push((first, second));
                while model.live() > 0 { model.pass().unwrap(); }
            }
            let f = all.iter().map(|x| x.0).fold(f64::MAX, f64::min);
            let s = all.iter().map(|x| x.1).fold(f64::MAX, f64::min);
            (f, s)
        };
        let (f1, s1) = run(model.as_mut(), 0);
        let (f8, _) = run(model.as_mut(), 8);
        println!("{count}: first {f1:.2} second {s1:.2}   with 9 rows each {f8:.2}");
    }
}
