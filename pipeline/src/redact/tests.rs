use super::*;

fn said(channel: u8, start: f64, text: &str) -> Final {
    let time = |seconds: f64| MediaTime::from_micros((seconds * 1e6) as u64);
    let words = text.split_whitespace().enumerate();
    let word = |(index, text): (usize, &str)| Word {
        text: text.to_owned(),
        start: time(start + index as f64 * 0.3),
        end: time(start + index as f64 * 0.3 + 0.3),
    };
    let words: Vec<Word> = words.map(word).collect();
    let end = words.last().map_or(time(start), |word| word.end);
    Final {
        channel,
        utterance: 1,
        start: time(start),
        end,
        text: text.to_owned(),
        words,
        confidence: 1.0,
        model: String::new(),
    }
}

fn alone(text: &str) -> String {
    Redactor::new(RedactionSettings::default()).redact(said(0, 0.0, text), Around::default()).text
}

/// A conversation, one utterance a line, `a` and `c` for who speaks, with a second between two; gives what is kept.
fn talk(lines: &[(&str, &str)]) -> Vec<String> {
    talk_with(lines, false)
}

/// The same where each utterance of a speaker follows soon on the one before it.
fn talk_with(lines: &[(&str, &str)], soon: bool) -> Vec<String> {
    let mut redactor = Redactor::new(RedactionSettings::default());
    let (mut start, mut out) = (0.0, Vec::new());
    let mut before = String::new();
    for (index, (who, text)) in lines.iter().enumerate() {
        let made = said(u8::from(*who == "c"), start, text);
        if index == 0 || !soon || lines[index - 1].0 != *who {
            before.clear();
        }
        let own = lines[index + 1..].iter().take_while(|(next, _)| next == who);
        let rest: Vec<Final> = own.map(|(_, text)| said(made.channel, made.end.seconds(), text)).collect();
        let mut rest = rest.iter();
        let next = |_| rest.next().map_or(Following::Nothing, Following::Said);
        let after = redactor.after(&made, &before, next).unwrap();
        start = made.end.seconds() + 1.0;
        out.push(redactor.redact(made, Around { before: &before, after: &after }).text);
        append(&mut before, text);
    }
    out
}

#[test]
fn mr8_a_number_read_out_digit_by_digit_is_hidden_from_its_first_one() {
    let kept = talk(&[("c", "So it's 4."), ("c", "One."), ("c", "1"), ("c", "1."), ("c", "7."), ("c", "That's it.")]);
    assert_eq!(kept, ["So it's [account].", "[account].", "[account]", "[account].", "[account].", "That's it."]);
    let kept = talk(&[("c", "So it's 555."), ("c", "Uh."), ("c", "0199."), ("c", "That's it.")]);
    assert_eq!(kept, ["So it's [phone].", "Uh.", "[phone].", "That's it."]);
    // four digits that nobody asked for are nobody's
    let few = ["So it's 4.", "One.", "1.", "1.", "That's it."];
    assert_eq!(talk(&few.map(|line| ("c", line))), few);
}

#[test]
fn mr8_what_goes_on_after_a_longer_pause_is_hidden_too() {
    let kept = talk(&[("c", "On March 5th."), ("c", "1980."), ("c", "That's it.")]);
    assert_eq!(kept, ["On [date-of-birth].", "[date-of-birth].", "That's it."]);
    let kept = talk(&[("c", "The third of."), ("c", "May 1980."), ("c", "That's it.")]);
    assert_eq!(kept, ["The [date-of-birth].", "[date-of-birth].", "That's it."]);
    let kept = talk(&[("c", "My email is ann dot lee at."), ("c", "Example dot com.")]);
    assert_eq!(kept, ["My email is [email].", "[email]."]);
    // who asks is not who answers
    let mut redactor = Redactor::new(RedactionSettings::default());
    redactor.redact(said(0, 0.0, "What is your email address?"), Around::default());
    let until = |channel, text| redactor.open_until(&said(channel, 2.0, text), Around::default(), MediaTime::ZERO);
    assert_eq!(until(0, "Take your time."), None);
    assert!(until(1, "Sure, ann.").is_some());
    assert_eq!((until(0, "Yes, you may."), until(1, "Ann at example.com")), (None, None));
}

#[test]
fn mr8_ci4_what_is_said_before_a_pause_counts_behind_it() {
    for (lines, wanted) in [
        (["My name is.", "Patricia Brown."], ["My name is.", "[name]."]),
        (["This is Grace.", "Holloway, hi."], ["This is [name].", "[name], hi."]),
        (["I was born on.", "May 3rd."], ["I was born on.", "[date-of-birth]."]),
        (["It's March 5th.", "1980."], ["It's [date-of-birth].", "[date-of-birth]."]),
        (["The account.", "Is 88231."], ["The account.", "Is [account]."]),
        (["My email is ann dot lee at.", "Example dot com."], ["My email is [email].", "[email]."]),
        (["That is all.", "Thanks, bye."], ["That is all.", "Thanks, bye."]),
    ] {
        assert_eq!(talk_with(&lines.map(|line| ("c", line)), true), wanted);
    }
}

#[test]
fn mr8_cards_are_hidden_however_they_are_heard() {
    for text in [
        "It's 4111 1111 1111 1111.",
        "It's 4111, 1111, 1111, 11111.",
        "It's four one double one, one one one one, one one one one, one one one one.",
        "It's 4111 1111 1111.",
        "It's forty one eleven, eleven eleven, eleven eleven, eleven eleven.",
        "It's 3782 822463 10005.",
        "It's 4111-1111-1111-1111.",
        "It's 4111 1111 uh 1111 1111.",
    ] {
        assert_eq!(alone(text), "It's [card].", "{text}");
    }
    assert_eq!(alone("the card ends in 4177"), "the card ends in [card]");
    assert_eq!(alone("The security code is 123."), "The security code is [card].");
}

#[test]
fn mr8_a_card_read_out_in_pieces_is_hidden_from_its_first_digit() {
    let kept = talk(&[
        ("a", "Can you read me the card number?"),
        ("c", "Sure. 4111."),
        ("c", "one one one one"),
        ("c", "1111."),
        ("c", "1111."),
        ("a", "Thank you."),
    ]);
    assert_eq!(kept[1..5], ["Sure. [card].", "[card]", "[card].", "[card]."]);
    let kept = talk(&[("c", "Okay, 4935."), ("c", "A0438."), ("c", "I ate 805s.")]);
    assert_eq!(kept, ["Okay, [account].", "[account].", "I [account]."]);
    // a piece written like a time of day, and digits heard as words
    let kept = talk(&[("a", "What is the card number?"), ("c", "It's 5:16."), ("c", "for 1 to 805.")]);
    assert_eq!(kept[1..], ["It's [card].", "for [card]."]);
    let kept = talk(&[("c", "Come at 5:16."), ("c", "That's fine, for me too.")]);
    assert_eq!(kept, ["Come at 5:16.", "That's fine, for me too."]);
    let kept = talk(&[("a", "What's your account number?"), ("c", "It's 88231 for 20 dollars.")]);
    assert_eq!(kept[1], "It's [account] for 20 dollars.");
    let kept = talk(&[("a", "Can I have your card number?"), ("c", "A two for one offer, from nine to five.")]);
    assert_eq!(kept[1], "A two for one offer, from nine to five.");
    for lines in [["I have you down for 10:30.", "One moment, please."], ["See you at 10:30.", "One more thing."]] {
        assert_eq!(talk(&lines.map(|line| ("c", line))), lines);
    }
    let kept = talk(&[("c", "It's 5:16."), ("c", "4111 1111.")]);
    assert_eq!(kept[0], "It's [account].");
    // nobody said what it is
    let kept = talk(&[("c", "So it's 4111."), ("c", "1111."), ("c", "11."), ("c", "That's it.")]);
    assert_eq!(kept[0], "So it's [account].");
    assert_eq!(kept[1..], ["[account].", "[account].", "That's it."]);
}

#[test]
fn mr8_other_numbers_go_by_what_is_said_of_them() {
    for (text, wanted) in [
        ("My phone number is 555 0199.", "My phone number is [phone]."),
        ("Call me back at five five five, oh one nine nine, extension two.", "Call me back at [phone], extension two."),
        ("The account number is 88231.", "The account number is [account]."),
        ("My social is 078 05 1120.", "My social is [national-id]."),
        ("It's 078-05-1120 I think", "It's [account] I think"),
        ("I was born on the third of May nineteen eighty four.", "I was born on the [date-of-birth]."),
        ("That was 05/12/1984.", "That was [date-of-birth]."),
        ("Born May 3rd.", "Born [date-of-birth]."),
    ] {
        assert_eq!(alone(text), wanted);
    }
}

#[test]
fn what_is_nobodys_number_stays() {
    for text in [
        "It costs $45.50 or 120 dollars.",
        "The order number is 4471982.",
        "I called 3 times in 2019 and waited 45 minutes.",
        "We open from 9 to 5.",
        "The meeting is on May 3rd 2027.",
        "I have two cats and 1 dog.",
        "This is Harper Valley National Bank.",
        "I'm sorry to hear that.",
        "Thank you very much.",
        "How can I help you today?",
        "My card was declined at 10:30 a.m. this morning.",
        "I'll phone you at 12:30pm tomorrow.",
        "The flight leaves on March 3rd, 20:10.",
    ] {
        assert_eq!(alone(text), text);
    }
}

#[test]
fn ci4_names_are_hidden_where_a_phrase_gives_them() {
    for (text, wanted) in [
        ("My name is Daniel Foster.", "My name is [name]."),
        ("hi my name is patricia brown i lost my debit card", "hi my name is [name] i lost my debit card"),
        ("This is Grace. How can I help?", "This is [name]. How can I help?"),
        ("Thank you, Daniel. One moment.", "Thank you, [name]. One moment."),
        ("My last name is S-M-I-T-H.", "My last name is [name]."),
        ("Hello, Mr. Foster.", "Hello, Mr. [name]."),
        ("This is way Smith.", "This is [name]."),
        ("Am I speaking with James and Nyan?", "Am I speaking with [name]?"),
        ("My name is Anna and I have a question.", "My name is [name] and I have a question."),
    ] {
        assert_eq!(alone(text), wanted);
    }
    let kept = talk(&[("a", "May I have your full name, please?"), ("c", "Sure. Daniel Foster.")]);
    assert_eq!(kept[1], "Sure. [name].");
    let kept = talk(&[("a", "May I have your full name, please?"), ("c", "Sure, alga.")]);
    assert_eq!(kept[1], "Sure, [name].");
    let kept = talk(&[("a", "May I have your full name, please?"), ("c", "Olga, stone.")]);
    assert_eq!(kept[1], "[name].");
    let kept = talk(&[("a", "Your full name, please?"), ("c", "It's Anna Smith. Regarding my bill.")]);
    assert_eq!(kept[1], "It's [name]. Regarding my bill.");
    let kept = talk(&[("a", "What is your email address?"), ("c", "ann lee gmail dot com.")]);
    assert_eq!(kept[1], "[email].");
}

#[test]
fn mr8_addresses_are_hidden_written_or_spoken() {
    for (text, wanted) in [
        ("Write to ann.lee@example.com today.", "Write to [email] today."),
        ("My email is ann dot lee at example dot com.", "My email is [email]."),
        ("It's ann lee 84 at gmail.com.", "It's [email]."),
        ("My email is Sophia Garcia67@company.org", "My email is [email]"),
        ("My email is alga_leatgmail.co.uk", "My email is [email]"),
        ("look at this dot", "look at this dot"),
        ("You can write to Sophia garcia67@company.org", "You can write to [email]"),
        ("My email is ann underscore lee gmail dot com.", "My email is [email]."),
    ] {
        assert_eq!(alone(text), wanted);
    }
}

#[test]
fn partials_hide_what_may_become_a_number() {
    let redactor = Redactor::new(RedactionSettings::default());
    for (text, wanted) in [
        ("Yes it's 41", "Yes it's [digits]"),
        ("Yes it's 4111 1111 11", "Yes it's [digits]"),
        ("I was there in 2019 for a while", "I was there in [digits] for a while"),
        ("My name is Dan", "My name is [name]"),
        ("my name is Daniel F.", "my name is [name]."),
        ("Harbor Bank. This is grace.", "Harbor Bank. This is [name]."),
        ("Thank you very much.", "Thank you very much."),
        ("It's 5:16.", "It's [digits]."),
        ("It's 5:16 in the morning", "It's 5:16 in the morning"),
    ] {
        assert_eq!(redactor.partial((0, MediaTime::ZERO), text, text, ""), wanted);
    }
    let shown = |before: &str, text: &str, behind: &str| {
        redactor.partial((0, MediaTime::ZERO), text, format!("{text} {behind}").trim(), before)
    };
    assert_eq!(shown("Yes it's 447.", "912 and that's it", ""), "[digits] and that's it");
    assert_eq!(shown("My name is.", "Dan", ""), "[name]");
    // what the rest of the hypothesis makes of it
    assert_eq!(shown("", "You can write to ann dot lee at", ""), "You can write to ann dot lee at");
    assert_eq!(shown("", "You can write to ann dot lee at", "example dot com"), "You can write to [email]");
    assert_eq!(shown("", "It's 41 11", "1111 1111 1111 1111"), "It's [digits]");
    assert_eq!(shown("", "It's 41 uh", "11 1"), "It's [digits]");
    assert_eq!(shown("", "It's 41 uh", ""), "It's 41 uh");
    // and what it does not
    assert_eq!(shown("Harbor Bank. This is.", "grace", "how can I help"), "[name]");
    assert_eq!(shown("This is.", "Grace", "from support"), "[name]");
}

#[test]
fn a_tenant_may_leave_a_kind_in_the_clear() {
    let settings = RedactionSettings { name: false, ..RedactionSettings::default() };
    let text =
        Redactor::new(settings).redact(said(0, 0.0, "My name is Dan, card number 4111 1111."), Around::default()).text;
    assert_eq!(text, "My name is Dan, card number [card].");
}

#[test]
fn words_keep_their_times() {
    let made = Redactor::new(RedactionSettings::default())
        .redact(said(0, 1.0, "it's 4111 1111 1111 1111. okay"), Around::default());
    let words: Vec<_> =
        made.words.iter().map(|word| (word.text.as_str(), word.start.micros(), word.end.micros())).collect();
    assert_eq!(words[1], ("[card].", 1_300_000, 2_500_000));
    assert_eq!(made.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" "), made.text);
}

#[test]
fn what_was_kept_is_enough_to_go_on() {
    let lines = ["What is your card number?", "It's 4111.", "1111."];
    let mut through = Redactor::new(RedactionSettings::default());
    let kept: Vec<Final> = lines
        .iter()
        .enumerate()
        .map(|(i, text)| through.redact(said(0, i as f64 * 3.0, text), Around::default()))
        .collect();
    let mut resumed = Redactor::new(RedactionSettings::default());
    kept[..2].iter().for_each(|made| resumed.follow(made));
    assert_eq!(resumed.redact(said(0, 6.0, lines[2]), Around::default()).text, kept[2].text);
    assert_eq!(kept[2].text, "[card].");
}
