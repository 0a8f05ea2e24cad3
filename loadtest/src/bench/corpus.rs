//! Recordings with what is said in them: a folder with a `manifest.tsv` (`path`, `seconds`, `transcript`), or audio
//! files with a `.txt` beside each.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::Failure;

/// One recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip {
    pub audio: PathBuf,
    /// The folder it lies in: figures are told for each.
    pub set: String,
    pub transcript: String,
}

/// Every clip of `folder` whose transcript is known, in the order of their names.
///
/// # Errors
/// When the folder cannot be read, or holds nothing that can be scored.
pub fn read(folder: &Path) -> Result<Vec<Clip>, Failure> {
    let manifest = folder.join("manifest.tsv");
    let mut clips = if manifest.exists() { listed(folder, &manifest)? } else { beside(folder)? };
    clips.sort_by(|a, b| a.audio.cmp(&b.audio));
    if clips.is_empty() {
        let folder = folder.display();
        return Err(format!("{folder} has no transcripts: give manifest.tsv, or a .txt beside each recording").into());
    }
    Ok(clips)
}

fn listed(folder: &Path, manifest: &Path) -> Result<Vec<Clip>, Failure> {
    let text = fs::read_to_string(manifest)?;
    let columns = text.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    let scored = columns.filter(|columns| columns.len() >= 3 && !columns[2].trim().is_empty());
    Ok(scored.map(|columns| clip(folder.join(columns[0]), columns[2].to_owned())).collect())
}

fn beside(folder: &Path) -> Result<Vec<Clip>, Failure> {
    let mut clips = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            clips.extend(beside(&path)?);
            continue;
        }
        let transcript = path.with_extension("txt");
        if path != transcript && transcript.exists() {
            clips.push(clip(path, fs::read_to_string(transcript)?));
        }
    }
    Ok(clips)
}

fn clip(audio: PathBuf, transcript: String) -> Clip {
    let set = audio.parent().and_then(Path::file_name).map_or_else(String::new, |name| name.to_string_lossy().into());
    Clip { audio, set, transcript }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_manifest_and_files_beside_each_other() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).unwrap_err().to_string().contains("manifest.tsv"));
        fs::create_dir(folder.path().join("set")).unwrap();
        fs::write(folder.path().join("set/a.wav"), "").unwrap();
        fs::write(folder.path().join("set/a.txt"), "hello").unwrap();
        let clips = read(folder.path()).unwrap();
        assert_eq!((clips[0].set.as_str(), clips[0].transcript.as_str()), ("set", "hello"));
        fs::write(folder.path().join("manifest.tsv"), "path\tseconds\ttranscript\nx/b.wav\t1\tone two\nc.wav\t1\t\n")
            .unwrap();
        let clips = read(folder.path()).unwrap();
        assert_eq!(clips.len(), 1);
        assert_eq!((clips[0].set.as_str(), clips[0].transcript.as_str()), ("x", "one two"));
    }
}
