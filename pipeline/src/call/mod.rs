//! One call: a task that owns its channels, asks the engine for voice and words ([`asking`], [`finishing`]), puts what comes of
//! it in one [`order`] and gives it out from there ([`output`]).

mod asking;
mod finishing;
mod lead;
mod order;
mod output;
mod told;

use std::{
    future::{Future, pending, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use sotto_events::{
    Audio, AudioFormat, CallEvent, CallInput, EventBody, Final, Finish, LiveScores, MediaTime, Partial, SafePoint,
    Scorecard,
};
use tokio::sync::{mpsc, watch};

use self::{
    finishing::{Ahead, Finishing, InFlight, Said},
    lead::Lead,
    order::{Key, Order, Pending},
    told::Told,
};
use crate::{
    SPEECH_RATE,
    channel::{Channel, Outcome, Speaking},
    engine::{Answer, Engine, EngineError, Heard, Live, Owner, Pass},
    redact::Redactor,
    score::Scoring,
    settings::{EndpointSettings, PipelineSettings},
    shown::Shown,
    transcript::Rolling,
    vad::VadLane,
};

/// Finals a call may have under way before it takes in no more audio.
const MAX_PENDING: usize = 8;
/// A call whose next frame is there this soon after the last has more sound waiting than comes in live.
const BEHIND: Duration = Duration::from_millis(4);

/// What a call gives.
#[derive(Debug, Clone, PartialEq)]
pub enum CallOutput {
    Partial(Partial),
    /// How the call goes so far; told when a final has changed it.
    Scores(Box<LiveScores>),
    /// Events to be made durable, in order, with where each channel can be taken up again after them. May hold no
    /// event: then only the safe points have moved.
    Record {
        events: Vec<CallEvent>,
        safe: Vec<SafePoint>,
    },
}

/// Where a call begins or goes on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resume {
    /// Last `seq` that is durable; 0 for a new call.
    pub seq: u64,
    /// One for each channel; empty for a new call.
    pub safe: Vec<SafePoint>,
    /// The kept events up to `seq`, oldest first: what was asked for shapes what is redacted, and scores go on.
    pub history: Vec<CallEvent>,
    /// What a new call is judged by; one that goes on keeps what it began with.
    pub scorecard: Option<Arc<Scorecard>>,
}

struct Slot {
    channel: Channel,
    rolling: Rolling,
    shown: Shown,
    in_flight: Option<InFlight>,
    ahead: Option<Ahead>,
    /// What was said since the safe point, once it is known; `None` when that is nothing.
    said: Option<watch::Receiver<Option<Said>>>,
    told: Told,
    /// Window of the last hypothesis asked for, in samples of the utterance.
    last_window: usize,
}

impl Slot {
    /// Whether a partial is being made, or a final without which none is shown.
    fn is_rolling(&self) -> bool {
        let made = |said: &watch::Receiver<Option<Said>>| said.borrow().is_none() && said.has_changed().is_ok();
        self.in_flight.is_some() || self.said.as_ref().is_some_and(made)
    }
}

type FinalFuture = Pin<Box<dyn Future<Output = (Key, Result<Option<Final>, EngineError>)> + Send>>;

/// The task. Make it, then [`run`](Self::run) it.
pub struct CallTask {
    engine: Engine,
    settings: PipelineSettings,
    rate: u32,
    slots: Vec<Slot>,
    lanes: Vec<VadLane>,
    finals: Vec<FinalFuture>,
    order: Order,
    seq: u64,
    safe: Vec<SafePoint>,
    busy: watch::Sender<bool>,
    in_step: bool,
    /// Frames that are being judged, and when the last ones had been.
    judging: Option<Answer<Vec<VadLane>>>,
    judged: Instant,
    owner: Owner,
    lead: Lead,
    live: Live,
    redactor: Redactor,
    scoring: Scoring,
}

impl CallTask {
    /// A call with `format` that goes on from `resume`.
    ///
    /// # Errors
    /// When the rate cannot be resampled.
    pub fn new(
        engine: Engine,
        settings: PipelineSettings,
        format: &AudioFormat,
        resume: Resume,
    ) -> Result<Self, rubato::ResamplerConstructionError> {
        let mut safe = resume.safe;
        safe.resize(format.channels.len(), SafePoint::default());
        let mut slots = safe
            .iter()
            .map(|&safe| {
                let channel = Channel::new(format.rate, &settings.endpoint, safe)?;
                Ok(Slot {
                    channel,
                    rolling: fresh_rolling(&engine),
                    shown: Shown::default(),
                    in_flight: None,
                    ahead: None,
                    said: None,
                    told: Told::default(),
                    last_window: 0,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut redactor = Redactor::new(settings.redaction.clone());
        let begun = resume.history.iter().find_map(|event| match &event.body {
            EventBody::Started(started) => Some(started.scorecard.as_deref().cloned().map(Arc::new)),
            _ => None,
        });
        let mut scoring = Scoring::new(&format.channels, begun.unwrap_or(resume.scorecard));
        for event in &resume.history {
            if let EventBody::Final(made) = &event.body {
                let index = usize::from(made.channel);
                // what was said behind its safe point is heard again
                let before = |safe: &SafePoint| made.end <= MediaTime::of_sample(safe.position, format.rate);
                if safe.get(index).is_some_and(before) {
                    slots[index].told = Told::after(made);
                }
                redactor.follow(made);
                scoring.add(made);
            }
        }
        Ok(Self {
            redactor,
            scoring,
            in_step: false,
            judging: None,
            judged: Instant::now(),
            owner: Owner::default(),
            lead: Lead::new(resume.seq > 0, Instant::now()),
            live: engine.live(),
            engine,
            settings,
            rate: format.rate,
            lanes: Vec::new(),
            slots,
            finals: Vec::new(),
            order: Order::default(),
            seq: resume.seq,
            safe,
            busy: watch::Sender::new(false),
        })
    }

    /// Takes in no audio while a partial is being made, so that recorded audio, however fast it comes, gets a partial
    /// as often as the settings say, whatever the machine's load.
    #[must_use]
    pub fn in_step(mut self) -> Self {
        self.in_step = true;
        self
    }

    /// Calls with the same number take turns with others as one.
    #[must_use]
    pub fn of_tenant(mut self, tenant: u64) -> Self {
        self.owner.tenant = tenant;
        self
    }

    /// True while someone speaks or a final is under way.
    pub fn busy(&self) -> watch::Receiver<bool> {
        self.busy.subscribe()
    }

    /// Runs until a finish, or until either end is dropped, which leaves everything not yet given out undone.
    ///
    /// # Errors
    /// When the engine has stopped or cannot judge voice: nothing more was acknowledged, so the call can be resumed.
    pub async fn run(
        mut self,
        first: Option<EventBody>,
        mut inputs: mpsc::Receiver<CallInput>,
        outputs: mpsc::Sender<CallOutput>,
    ) -> Result<(), EngineError> {
        if let Some(event) = first {
            self.order.add((MediaTime::ZERO, 0), Pending::decided(Some(event), None));
            self.emit(&outputs, true).await;
        } else if self.seq > 0 {
            // whoever watches has seen nothing of it here yet
            self.tell_scores(&outputs).await;
        }
        loop {
            let rolling =
                self.in_step && self.slots.iter().any(|slot| self.settings.partials.enabled && slot.is_rolling());
            let judging = self.judging.is_some();
            let room = self.finals.len() < MAX_PENDING && !rolling && !judging;
            // what comes of a recording depends on no moment
            let any_time = !(self.in_step && judging);
            tokio::select! {
                biased;
                (index, heard) = rolling_heard(&mut self.slots), if any_time => self.rolling(index, heard, &outputs).await,
                (key, made) = final_made(&mut self.finals), if any_time => self.settle(key, made)?,
                lanes = voice_judged(&mut self.judging) => self.go_on(lanes?)?,
                input = inputs.recv(), if room => match input {
                    None => return Ok(()),
                    Some(CallInput::Finish(finish)) => return self.finish(finish, &outputs).await,
                    Some(CallInput::Audio(audio)) => self.hear(&audio)?,
                    Some(CallInput::Gap { channel, position, samples }) => self.gap(channel, position, samples).await?,
                },
            }
            if outputs.is_closed() {
                return Ok(());
            }
            self.emit(&outputs, false).await;
            // a channel that has started afresh in the middle of what is being said does not know of it yet
            if self.judging.is_none() {
                let busy = !self.finals.is_empty() || self.slots.iter().any(|slot| slot.channel.speaking().is_some());
                self.busy.send_if_modified(|old| std::mem::replace(old, busy) != busy);
            }
        }
    }

    /// Takes in what came together, so that the channels are judged together.
    fn hear(&mut self, audio: &[Audio]) -> Result<(), EngineError> {
        for Audio { channel, position, samples } in audio {
            let Some(slot) = self.slots.get_mut(usize::from(*channel)) else { continue };
            slot.channel.push(*position, samples);
            self.engine.metrics().audio_seconds.inc_by(samples.len() as f64 / f64::from(self.rate));
        }
        self.owner.hurried = self.lead.is_great(self.heard(), self.rate, Instant::now());
        self.live.set(!self.owner.hurried);
        self.advance()
    }

    /// Waits until all that was taken in is judged.
    async fn hear_out(&mut self) -> Result<(), EngineError> {
        while self.judging.is_some() {
            let lanes = voice_judged(&mut self.judging).await?;
            self.go_on(lanes)?;
        }
        Ok(())
    }

    async fn gap(&mut self, channel: u8, position: u64, samples: u64) -> Result<(), EngineError> {
        let start = MediaTime::of_sample(position, self.rate);
        let end = MediaTime::of_sample(position + samples, self.rate);
        let at = self.slots.get(usize::from(channel)).map_or(start, |slot| slot.channel.watermark().max(start));
        let gap = EventBody::Gap { channel, start, end };
        self.order.add((at, channel), Pending::decided(Some(gap), None));
        let second = u64::from(self.rate);
        for from in (position..position + samples).step_by(self.rate as usize) {
            let count = second.min(position + samples - from) as usize;
            self.hear(&[Audio { channel, position: from, samples: vec![0; count] }])?;
            self.hear_out().await?;
            // silence asks for no voice, so for nothing that others could run in between
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Judges every whole frame that has come, and acts on what is decided. Where the voice model has to be asked, its
    /// answer goes on with the rest; no more is taken in before.
    fn advance(&mut self) -> Result<(), EngineError> {
        while self.fill() {
            self.lanes.iter_mut().for_each(VadLane::pass_silence);
            if !self.lanes.iter().all(VadLane::is_judged) {
                let lanes = std::mem::take(&mut self.lanes);
                // a call that is behind, or recorded, waits for no mates
                let live = !self.in_step && self.judged.elapsed() > BEHIND;
                self.judging = Some(self.engine.voice(lanes, self.owner.hurried, live)?);
                return Ok(());
            }
            self.act();
        }
        Ok(())
    }

    /// The voice model has judged what it was asked.
    fn go_on(&mut self, lanes: Vec<VadLane>) -> Result<(), EngineError> {
        (self.lanes, self.judged) = (lanes, Instant::now());
        self.act();
        self.advance()
    }

    /// Takes out the frames that wait to be judged; false when there is no whole one.
    fn fill(&mut self) -> bool {
        self.lanes.resize_with(self.slots.len(), VadLane::default);
        let mut any = false;
        for (slot, lane) in self.slots.iter_mut().zip(&mut self.lanes) {
            any |= slot.channel.fill(lane);
        }
        if !any {
            for (slot, lane) in self.slots.iter_mut().zip(&mut self.lanes) {
                slot.channel.judge(lane);
            }
        }
        any
    }

    /// Acts on what is decided by the frames that have been judged.
    fn act(&mut self) {
        for index in 0..self.slots.len() {
            let outcomes = self.slots[index].channel.judge(&mut self.lanes[index]);
            if outcomes.is_empty() {
                self.roll(index);
            }
            for outcome in outcomes {
                self.decided(index, outcome);
            }
        }
    }

    fn decided(&mut self, index: usize, outcome: Outcome) {
        let key = (outcome.safe.decided_at, index as u8);
        let slot = &mut self.slots[index];
        let rolling = std::mem::replace(&mut slot.rolling, fresh_rolling(&self.engine));
        let ahead = slot.ahead.take();
        rolling.close(slot.in_flight.take().is_some());
        (slot.last_window, slot.shown) = (0, Shown::default());
        let said = slot.said.take();
        let Some(utterance) = outcome.utterance else {
            self.order.add(key, Pending::decided(None, Some(outcome.safe)));
            return;
        };
        let (tell, told) = watch::channel(None);
        slot.said = Some(told).filter(|_| !outcome.afresh);
        if !utterance.again {
            let metrics = self.engine.metrics();
            metrics.utterances.inc();
            metrics.speech_seconds.inc_by(utterance.length() as f64 / f64::from(SPEECH_RATE));
        }
        let key = self.order.add(key, Pending::utterance(&utterance, outcome.safe));
        let EndpointSettings { padding, max_length, .. } = self.settings.endpoint;
        let (padding, longest) = (samples(padding), samples(max_length));
        let (engine, owner, channel) = (self.engine.clone(), self.owner, index as u8);
        let finishing = Finishing { engine, owner, channel, utterance, said, tell, padding, longest, rolling };
        let made = finishing.run(ahead);
        self.finals.push(Box::pin(async move { (key, made.await) }));
    }

    async fn rolling(
        &mut self,
        index: usize,
        (job, heard): (InFlight, Result<Heard, EngineError>),
        outputs: &mpsc::Sender<CallOutput>,
    ) {
        let slot = &mut self.slots[index];
        // a failed partial is counted by the engine and the next one asks again
        let Ok(heard) = heard else { return };
        slot.rolling.heard(heard);
        let Heard { tokens, text, log_probabilities, .. } = &slot.rolling.latest;
        let probable = self.engine.tokenizer(Pass::First).least_by_word(tokens, log_probabilities);
        slot.shown.take(job.length, text, &probable);
        let text = slot.shown.text();
        if text.is_empty() {
            return;
        }
        let hypothesis = slot.shown.hypothesis();
        let Some(Speaking { number: Some(number), stretch, start, .. }) = slot.channel.speaking() else { return };
        let end = slot.channel.media(start + job.length);
        let start = slot.channel.media(start);
        // what is to be hidden may show in what was said before
        let Some(before) = self.before(index, stretch, start) else { return };
        let tail = self.redactor.partial((index as u8, start), &text, &hypothesis, &before);
        let slot = &mut self.slots[index];
        slot.rolling.revisions += 1;
        let metrics = self.engine.metrics();
        if !self.owner.hurried {
            metrics.partial_latency.observe(job.since.elapsed().as_secs_f64());
        }
        metrics.events.with_label_values(&["partial"]).inc();
        let partial = Partial {
            channel: index as u8,
            utterance: number,
            revision: slot.rolling.revisions,
            start,
            end,
            // the final is made of the whole utterance anew and may say otherwise
            stable: String::new(),
            tail,
            degraded: job.degraded,
        };
        // nobody listening any more is noticed by the loop
        drop(outputs.send(CallOutput::Partial(partial)).await);
    }

    fn settle(&mut self, key: Key, made: Result<Option<Final>, EngineError>) -> Result<(), EngineError> {
        let event = match made {
            Ok(made) => made.map(EventBody::Final),
            Err(EngineError::Stopped) => return Err(EngineError::Stopped),
            // what follows would come out otherwise; nothing more is acknowledged, so the call can be taken up again
            Err(error) if self.order.get(key).is_some_and(|pending| pending.again) => return Err(error),
            // the sound was heard but cannot be written down: say so instead of keeping silent
            Err(error) => {
                tracing::error!(%error, "an utterance could not be recognised");
                let span = self.order.get(key).and_then(|pending| pending.span);
                span.map(|(start, end)| EventBody::Gap { channel: key.1, start, end })
            }
        };
        self.order.settle(key, event);
        Ok(())
    }

    async fn finish(mut self, finish: Finish, outputs: &mpsc::Sender<CallOutput>) -> Result<(), EngineError> {
        if let Finish::End(_) = finish {
            for slot in &mut self.slots {
                slot.channel.end_of_audio();
            }
            self.advance()?;
            self.hear_out().await?;
            for index in 0..self.slots.len() {
                if let Some(outcome) = self.slots[index].channel.finish() {
                    self.decided(index, outcome);
                }
            }
        }
        while !self.finals.is_empty() {
            let (key, made) = final_made(&mut self.finals).await;
            self.settle(key, made)?;
            self.emit(outputs, false).await;
        }
        if let Finish::End(reason) = finish {
            let duration = MediaTime::of_sample(self.heard(), self.rate);
            self.emit(outputs, true).await;
            // nothing of the call is left to be heard
            for (safe, slot) in self.safe.iter_mut().zip(&self.slots) {
                safe.position = slot.channel.end();
            }
            let last = (MediaTime::from_micros(u64::MAX), u8::MAX);
            let scored = EventBody::Scored(self.scoring.scores(duration, true));
            for event in [EventBody::Measured(self.scoring.measures()), scored, EventBody::Ended { reason, duration }] {
                self.order.add(last, Pending::decided(Some(event), None));
            }
            self.emit(outputs, true).await;
        }
        Ok(())
    }
}

fn fresh_rolling(engine: &Engine) -> Rolling {
    Rolling::new(engine.finals_pass() == Pass::First)
}

fn samples(seconds: f64) -> usize {
    (seconds * f64::from(SPEECH_RATE)).round() as usize
}

/// The frames that are being judged, once they are; waits for ever when none are.
async fn voice_judged(judging: &mut Option<Answer<Vec<VadLane>>>) -> Result<Vec<VadLane>, EngineError> {
    let Some(answer) = judging else { return pending().await };
    let lanes = answer.await;
    *judging = None;
    lanes.unwrap_or(Err(EngineError::Stopped))
}

/// The next rolling hypothesis of any channel; waits for ever when none is under way.
async fn rolling_heard(slots: &mut [Slot]) -> (usize, (InFlight, Result<Heard, EngineError>)) {
    poll_fn(|context| {
        for (index, slot) in slots.iter_mut().enumerate() {
            let Some(job) = &mut slot.in_flight else { continue };
            if let Poll::Ready(heard) = Pin::new(&mut job.answer).poll(context)
                && let Some(job) = slot.in_flight.take()
            {
                return Poll::Ready((index, (job, heard.unwrap_or(Err(EngineError::Stopped)))));
            }
        }
        Poll::Pending
    })
    .await
}

/// The next final that is made; waits for ever when none is under way.
async fn final_made(finals: &mut Vec<FinalFuture>) -> (Key, Result<Option<Final>, EngineError>) {
    poll_fn(|context| {
        for index in 0..finals.len() {
            if let Poll::Ready(made) = finals[index].as_mut().poll(context) {
                drop(finals.swap_remove(index));
                return Poll::Ready(made);
            }
        }
        Poll::Pending
    })
    .await
}
