"""Review sentences, written by this project: frames of clauses, clauses of words, in Chinese and English.

A frame joins clauses, a clause holds words. Slots carry the polarity, so that nearly every template makes
both labels and no construction gives the answer away:

    {C} {c}  a clause of the label's polarity, or of the opposite one
    {A} {a}  an adjective, likewise; it fits the noun before it
    {G} {g}  something staff do (base form), {H} {h} have done, {K} {k} a thing has done, likewise
    {V}      loved or hated            {n}  a noun           {o}  something ordered or bought      {s}  a person
    {w}      how much, may be empty    {p}  when or where    {t}  how long

"A but B" is labelled as B. Training and held-out sentences share the words and share no frame and no clause:
the figure measures new ways of saying, not new fillings of known ones. The words are in ``reviews_words``.
"""

from __future__ import annotations

import random
import re
from functools import cache

from reviews_words import ADJECTIVES, DONE, HOW_MUCH, NOUNS, PEOPLE, PLACES, THINGS_DO, TIMES, TO_DO, VERBS

FRAMES = {
    "en": """
{C}.|{C}!|{C}|{C}, {C}.|{C}, and {C}.|{C}. {C}.|{C} and {C}!|{C}; {C}; {C}.|{C}. {C}! {C}.|{C}: {C}.|{C}, {C}, {C}.
{C}, {C}, {C}, {C}!|{c}, but {C}.|{c}. But {C}.|{c} but {C} and {C}.|Although {c}, {C}.|{C}. Although {c}, {C}.
{c}, yet {C}.|Even though {c}, {C}.|{c}; however, {C}.|We went there {p}: {C}.|I bought it {p}. {C}.|{p}, {C}.
My wife says {C}.|Honestly, {C}.|If you ask me, {C}, {C}.|{C}, that is why {C}.|{C}, so {C}.|{C} because {C}.
I must say {C}, and {C}.|{C}. Yes, {C}.|They say {c}, but {C}.|People told us {c}. In fact {C}.|{C}, also {C}.
Ordered {p}: {C}, {C}.|{A}!|{A}, {A}, {A}.|{A} and {A}.|{n} {A}|{A} {n}|not {a}|never {a}|{w}{A}!|no {a} {n}
isn't {a}|Even if {c}, {C}.|At first {c}, in the end {C}.|{c} at first, but then {C}.
Others say {c}, but we say {C}.|All in all: {C}.|{C}. That was our visit {p}.|In short, {C} and {C}.
To be fair {c}, but {C}.|Dear friends, {C}!|Yes, {C}, yes, {C}.|{C} - {C}.|A note: {C}, {C}.
{C}. One thing is clear: {C}.|We had hopes, and {C}.|Here is the short version: {C}.|{C}, plus {C}.
All in all {C}, plus {C}.|Here is what we think: {C} - {C}.|We tried it {p} with high hopes and {C}.
At first it seemed {c}; but in the end {C}.|Some may say {c}, but for us {C}; {C}.|Dear reader, {C}! Indeed {C}!
A short note on our visit {p}: {C}, {C}, and {C}.|Even if {c}, we still think {C}.|One more thing: {C}. And {C}.
""",
    "zh": """
{C}。|{C}！|{C}|{C}，{C}。|{C}，{C}！|{C}。{C}。|{C}，而且{C}。|{C}，{C}，{C}。|{C}；{C}。|{C}，{C}，{C}，{C}！
{C}，还{C}。|{c}，但是{C}。|{c}，但{C}，{C}。|虽然{c}，但{C}。|虽然{c}，可是{C}。|{c}，不过{C}。|{c}，然而{C}。
尽管{c}，还是{C}。|{p}去的，{C}。|{p}买的：{C}，{C}。|{p}来吃，{C}。|朋友说{C}。|说真的，{C}。|我觉得{C}，{C}。
因为{C}，所以{C}。|都说{c}，其实{C}。|网上说{c}，结果{C}。|{C}，也{C}。|总之{C}。|{C}，真是{A}。|{A}！|{A}，{A}。
又{A}又{A}|{n}{A}|{A}的{n}|不{a}|一点也不{a}|一点都不{a}！|没有{a}|并不{a}|{w}{A}！|太{A}了|{C}，太{A}了！
{n}太{A}，{C}。|即使{c}，也{C}。|开始{c}，后来{C}。|有人说{c}，我们说{C}。|也许{c}，但是{C}。|刚来时{c}，现在{C}。
各位朋友，{C}。|整体上{C}，{C}。|大家听我讲，{C}。|记录一下：{C}。|带着孩子去，{C}，{C}。|对我来说{C}。
另外一点，{C}。|{C}，另外{C}。|简单说，{C}，{C}。|真的，{C}！|期待了很久，{C}。|感受就是{C}。|我认为{C}，{C}。
仍然觉得{C}。|整体来看{C}，另外{C}。|跟大家讲一下：{C}；{C}。|{p}带着期待体验了一回，{C}。
刚开始以为{c}，但是后来发现{C}。|也许有人认为{c}，但对我们来说{C}，{C}。|各位，{C}！真的如此，{C}！
简单记录{p}的感受：{C}，{C}，{C}。|即使{c}，我仍然认为{C}。
""",
}
# What may stand before a clause and says nothing; the network must learn to read past it.
OPENERS = {
    "en": """
we noticed|we think|I believe|it turned out that|as I said|today|this time|once more|my brother told me|to me
we know that|as always|you can see that|in my eyes|the thing is|I learnt that|we saw it ourselves:|last time too
for two people|after work|before the film|between us|in our case|now|this morning|we heard that|on the whole
from the first minute|so far|to start with|I also want to say that|with the children|it was raining and
on our first evening|as a regular guest I say|for what I know|our group agreed:|my sister said that
as soon as we sat down|we came in and|both times|I would say that|we found that
""",
    "zh": """
我发现|我们看到|我看|说起来|这回|这一次|今天|当时|后来才知道|我妈妈说|我弟弟觉得|我们两个人都说|在我看来
一进来就看到|坐下来以后|听同事说|老实说|作为常客，|回家以后发现|在我们那里|那天晚上|大家发现|下班以后去，|路过这里，
现在看来|个人认为|和上次一样，|结账的时候|打开以后看到|同学告诉我|我姐姐说|从头到尾|简单来说|跟你们讲，|整个过程
我早就说过|那边|实际上|事实是|到了以后|收到以后|有一说一，|进去以后|不到一会儿|不到中午
""",
}
HELD_FRAMES = {
    "en": """
We were there {p} with my brother. {C}, {C}.|Let me tell you: {C}. {C}.|{C}, and on top of that {C}.
My friends think {c}, but I know {C}.|It is true that {c}. But {C} and {C}.|{p} I went in with my sister; {C}; {C}!
What can I say: {C}.|For the record, {C}, and {C}.|Though {c}, in the end {C}.
""",
    "zh": """
上次{p}我们一起来的，{C}，{C}。|告诉大家：{C}。{C}。|{C}，更何况{C}。|朋友认为{c}，但我知道{C}。
是的，{c}，可{C}，{C}。|和姐姐一起进门，{C}；{C}！|还能说什么：{C}。|写在这里：{C}，{C}。|就算{c}，到最后还是{C}。
""",
}
CLAUSES = {
    "en": """
the {n} was {w}{A}|the {n} is {w}{A}|this {n} is {w}{A}|what {w}{A} {n}|{w}{A} {n}|their {n} is {w}{A}|it is {w}{A}
the {n} looks {w}{A}|the {n} here is {w}{A}|the {n} and the {n} were {A}|the {n} of this {n} is {w}{A}
it was {A} and {A}|the {n} is not {a}|the {n} was not {w}{a} at all|this {n} isn't {a}|it was never {a}
the {n} does not seem {a}|I found it {A}|nothing about the {n} was {a}|the {n} was anything but {a}
it is far from {a}|the {n} was hardly {a}|such {A} {n}|I {V} the {n}|we {V} this {n}|I {V} it|everyone {V} the {n}
you could call the {n} {A}|the {s} {H}|the {s} {H} {p}|they {H}|the {s} always {H}|the {s} came and {H}
the {s} {H} and {H}|she smiled and {H}:good|the {s} never {h}|nobody {h}|no one {h}|not once have they {h}
the {s} did not {g}|they did not {g}|they would not {g}|the {s} would not even {g}|they refused to {g}:bad
the {s} was too lazy to {g}:bad|they only {G}|they do not {g} here|we asked them to {g} and nobody did:bad
the {s} was quick to {G}:good|they know how to {G}|without a word the {s} {H}|it {K}|it {K} {p}|the {o} {K}|mine {K}
it {K} after {t}|the {o} never {k}|it has never once {k}|it {K} at once|none of them {k}
we waited {t} for the {o}:bad|we sat there for {t}:bad|it took {t} to get the {o}:bad
after {t} there was still no {o}:bad|the {o} never arrived:bad|no {o} arrived:bad|half of the {o} was missing:bad
we left hungry:bad|I got sick after it:bad|I want a refund:bad|what a waste of money:bad|we will not come back:bad
never again:bad|do not buy the {o}:bad|stay away from this {n}:bad|I sent it back:bad|I had to ask three times:bad
one star is too many:bad|the {o} did not come:bad|we did not wait at all:good|the {o} came quickly:good
worth the money:good|we will come back:good|I would buy it again:good|five stars from me:good
the {o} arrived on time:good|the {n} could not be better:good|no complaints about the {n}:good
by no means {a}, this {n}|no one found the {n} {a}|no one at our table called it {a}
we are still without our {o}:bad|we would not call it {a}|I cannot say it was {a}|nobody says that the {n} is {a}
give me back my money:bad|still no {o}:bad|you get {A} {n} here|you will find the {n} {w}{A}
please do not buy it:bad|we can recommend it:good|back for more {o} soon:good|there was no problem with the {n}:good
nothing was missing:good|my children asked for more:good|thank you for the {n}:good|we found the {n} {w}{A}
you will get {w}{A} {n} there|their {n} always seems {A}|my sister calls the {n} {w}{A}
nobody in our group found the {n} {a}|I would not say that the {n} is {a}|the {n} is by no means {a}
how {A} their {n} is|both {s} and {s} {H}|as soon as we came in, the {s} {H}|the {s} has never {h}
their {s} does not {g}|we saw that the {s} {H}|my new {o} {K}|so far the {o} never {k}|within {t} it {K}
our {o} took {t} to come:bad|we are still waiting for the {o}:bad|I want my money back:bad
please do not come here:bad|we can only recommend the {n}:good|we will be back for the {n}:good|it seems {w}{A}
the {n} is always {w}{A}|we call it {A}|they kept us waiting for {t}:bad|all of it was {w}{A}
it turned out to be {A}|it does not look {a}|nothing here is {a}|none of it was {a}
we did not wait long for the {o}:good|the {s} even {H}|the {s} will not {g}|the {s} did not bother to {g}:bad
no {o} for {t}:bad|every {n} here is {w}{A}|thanks to the {s}:good
I did not like the {n}:bad|I did not enjoy it:bad|we do not like this {n}:bad|we liked it:good|I liked the {n}:good
""",
    "zh": """
{n}{w}{A}|这个{n}{w}{A}|这里的{n}{w}{A}|他们家{n}{w}{A}|这家的{n}{w}{A}|{n}太{A}了|{n}{A}极了|{w}{A}|太{A}
{n}真是{A}|{n}又{A}又{A}|{n}不{a}|{n}一点也不{a}|{n}并不{a}|{n}没有那么{a}|{n}谈不上{a}|{n}算不上{a}|从来不{a}
{n}不是很{a}|没觉得{n}{a}|{n}不怎么{a}|没想到{n}这么{A}|怎么这么{A}|这么{A}的{n}|{A}的{n}|{n}和{n}都{w}{A}
{n}比想的还{A}|要说{n}，{w}{A}|那家店的{n}太{A}了|{n}也{A}|我{V}这个{n}|{V}这里的{n}|全家都{V}|真心{V}{n}|大家{V}
{n}做得{w}{A}|{n}让人觉得{A}|{n}可以说{w}{A}|{s}{G}|{s}一直{G}|{s}总是{G}|{s}马上{G}|{s}当场{G}|{s}就知道{G}
{s}过来{G}|他们{G}|{s}还会{G}|{s}不{g}|{s}也不{g}|{s}从来不{g}|{s}就是不{g}|{s}根本不{g}|{s}没有{g}|没有人{g}
没人{g}|一直没{g}|到最后也没{g}|{s}没{g}过|{s}不肯{g}:bad|{s}懒得{g}:bad|{s}拒绝{g}:bad|叫了{s}好几次才{g}:bad
求{s}{g}都没用:bad|{s}主动{G}:good|{s}很快就{G}:good|{o}{K}|东西{K}|{p}买的{o}{K}|刚买的{o}{K}|用了{t}就{K}
{o}从来没{k}|{o}没有{k}|至今没{k}|从没{k}过|居然{K}|等了{t}:bad|等{o}等了{t}:bad|排队排了{t}:bad
过了{t}还没有{o}:bad|催了{t}也没用:bad|{t}了{o}都不来:bad|坐了{t}没人理:bad|{o}一直没上:bad|{o}没送来:bad
再也不来了:bad|不会再买:bad|只想退货:bad|浪费钱:bad|吃完肚子疼:bad|饿着肚子走的:bad|千万别买:bad|一星都嫌多:bad
后悔死了:bad|{n}里有头发:bad|不推荐:bad|气死人:bad|别来这家店:bad|白花钱:bad|太失望了:bad|少了{o}:bad|不用等:good
{o}上得很快:good|下次还来:good|还会再买:good|物有所值:good|五星好评:good|什么都不缺:good|值得推荐:good
没有任何问题:good|这{n}绝对不{a}|{n}完全不{a}|我不觉得{n}{a}|没人说{n}{a}|大家都觉得{n}{w}{A}|{n}{A}得不得了
{n}肯定不{a}|{s}完全不{g}|{s}从没{g}|他们从不{g}|两个{s}一起{G}|还在等{o}:bad|{o}到现在还没来:bad|足足坐了{t}:bad
要他们还钱:bad|绝对不再来:bad|以后不买了:bad|一定再来:good|可以放心吃:good|放心买{o}:good|进门就有人{G}
{t}就上齐了:good|吃得很满足:good|{n}没话说:good|孩子吃完还要:good|朋友也想再来:good|{o}提前到了:good|钱花得值:good
没让人失望:good|谢谢{s}:good|那个{n}实在是{w}{A}|它家{n}{A}得很|我姐姐觉得{n}{w}{A}|我们发现{n}{w}{A}|{n}绝对不算{a}
大家都不觉得{n}{a}|这次的{n}{w}{A}|进门以后{s}就{G}|那里的{s}从不{g}|两个{s}都在{G}|{s}完全没有{g}|我看到{s}{G}
新买的{o}{K}|到现在{o}也没有{k}|不到{t}就{K}|我们足足等了{t}:bad|{o}到走的时候还没来:bad|把钱还给我:bad
以后绝对不来:bad|一定会再来这家店:good|{o}可以放心买:good|谁都没{g}|一个人都没{g}|{s}到现在还没{g}|{s}居然不{g}
{s}还是不{g}|{s}连{g}都不会:bad|等了{t}才{g}:bad|没等多久{o}就来了:good|没等多久就{G}:good|{n}感觉{w}{A}
{n}一直{w}{A}|他们的{n}真{A}|没人觉得{n}{a}|看不出哪里{a}|{s}都会{G}|{o}太晚才来:bad|{o}根本没来:bad
整整{t}没{g}:bad|{t}都不{g}:bad|坐了{t}也没{g}:bad|不喜欢这个{n}:bad|我不喜欢:bad|不满意:bad|{o}等不到:bad|喜欢:good|很满意:good
""",
}
HELD_CLAUSES = {
    "en": """
this {n} of theirs is {w}{A}|everything about the {n} was {w}{A}|our {n} turned out {w}{A}|the {n} is never {a}
there is nothing {a} about the {n}|not one of us found the {n} {a}|the {n} did not look {a}|the {s} there {H}
every {s} we met {H}|in the evening the {s} {H}|none of the staff {h}|the {s} did not once {g}|he just would not {g}
my {o} {K} on the first day|after a month the {o} {K}|this one never {k}|{t} and no {o}:bad
the {o} took {t} to arrive:bad|I threw the {o} away:bad|you should not buy this {o}:bad
I would come again for the {o}:good|our {o} came at once:good|a big thank you to the {s}:good
""",
    "zh": """
他们的{n}都{w}{A}|这边{n}做得{w}{A}|{n}总是{w}{A}|整个{n}感觉{w}{A}|{n}从没{a}过|{n}根本不{a}|没有一个人觉得{n}{a}
{n}看着不{a}|那个{s}会{G}|每个{s}都{G}|晚上{s}{G}|没有一个{s}{g}|{s}怎么都不{g}|我的{o}第一天就{K}|过了{t}{o}{K}
这个{o}一次没{k}|{t}过去了，{o}没有来:bad|{o}来得太晚:bad|已经把{o}扔了:bad|大家别买这个{o}:bad|为了{o}还会来:good
{o}很快就来了:good|要谢谢这家店的{s}:good
""",
}
# Sentences without an opinion get both labels in turn, so that the network learns to be undecided there.
NEUTRAL = {
    "en": """
the {n} is on the left|the {n} and the {n}|we went to the {n} {p}|this is the {n}|the {n} at this {n} is
I bought a {n} {p}|there is a {n} next to the {n}|{p}|{n}|we ordered the {n} and the {n} at two|the {n} is:
and the {n}|the {s} of the {n}|it
""",
    "zh": """
{n}在左边|{n}和{n}|{p}去了{n}|这是{n}|这家{n}的{n}|{p}买了{n}|{n}旁边有一个{n}|{p}|{n}|点了{n}和{n}|这家{n}有两个{n}
{n}是|还有{n}，{n}|{s}的{n}|这里的{n}|{s}，{s}
""",
}
Pairs = list[tuple[str, int]]
SHORT, LONG, HELD_OUT = 50_000, 65_000, 1000

SLOT = re.compile(r"\{(\w)\}")
TURNS, TURNED = re.compile(r"\{[acghk]\}"), 0.6
# Kinds of noun that go together in one review.
SCENES = (("food", "people", "place"), ("thing", "people"))


def options(block: str) -> list[str]:
    return [part for line in block.strip().splitlines() for part in line.split("|")]


def clauses_for(block: str, label: int) -> list[str]:
    """The clauses that can say this: those of no fixed polarity, and the fixed ones of the right one."""
    wanted = ("bad", "good")[label]
    split = [part.partition(":") for part in options(block)]
    return [text + (mark + kind if kind not in ("", "bad", "good") else "") for text, mark, kind in split
            if kind not in ("bad", "good") or kind == wanted]


@cache
def weight(template: str) -> float:
    """How often a template is taken."""
    return TURNED if TURNS.search(template) else 1.0


class Writer:
    """Writes sentences of one language, from the training or the held-out templates; `short` is one clause each."""

    def __init__(self, language: str, rng: random.Random, *, held: bool = False, short: bool = False) -> None:
        self.language, self.rng = language, rng
        self.frames = options((HELD_FRAMES if held else FRAMES)[language])
        if short:
            wordless = [frame for frame in self.frames if "{C}" not in frame]
            self.frames = ["{C}", "{C}.", "{C}!"] * (len(wordless) // 3) + wordless
        block = (HELD_CLAUSES if held else CLAUSES)[language]
        self.openers = [] if held else options(OPENERS[language])
        self.clauses = [clauses_for(block, label) for label in (0, 1)]

    def chosen(self, templates: list[str]) -> str:
        """A template; those that turn a polarity round (negation, contrast) are the rarer ones, as in life."""
        return self.rng.choices(templates, [weight(t) for t in templates])[0]

    def one(self, words: str) -> str:
        return self.rng.choice(words.split(","))

    def adjective(self, kind: str, side: int) -> str:
        pools = ADJECTIVES[self.language]
        return self.one(pools["any" if self.rng.random() < 0.55 else kind][1 - side])

    def fill(self, template: str, label: int, scene: tuple[str, ...]) -> str:
        """Replace the slots, left to right; label 1 is positive."""
        language = self.language
        kind = self.rng.choice(scene)
        out: list[str] = []
        last = 0
        for slot in SLOT.finditer(template):
            out.append(template[last : slot.start()])
            last = slot.end()
            name = slot.group(1)
            side = label if name.isupper() else 1 - label
            if name in "no":
                # What is ordered or bought comes first in its scene.
                kind = self.rng.choice(scene) if name == "n" else scene[0]
                out.append(self.one(NOUNS[language][kind]))
            elif name in "Cc":
                out.append(self.clause(side, scene))
            elif name in "Aa":
                out.append(self.adjective(kind, side))
            else:
                both = {"G": TO_DO, "H": DONE, "K": THINGS_DO, "V": VERBS}.get(name.upper())
                same = {"s": PEOPLE, "w": HOW_MUCH, "p": PLACES, "t": TIMES}.get(name)
                out.append(self.one(same[language] if same else both[language][1 - side]))  # type: ignore[index]
        return "".join([*out, template[last:]])

    def clause(self, side: int, scene: tuple[str, ...]) -> str:
        """One clause; only things bought can last or break."""
        template = self.chosen(self.clauses[side])
        while scene[0] != "thing" and "{k}" in template.lower():
            template = self.chosen(self.clauses[side])
        clause = self.fill(template, side, scene)
        if self.openers and self.rng.random() < 0.25:
            return self.rng.choice(self.openers) + (" " if self.language == "en" else "") + clause
        return clause

    def sentence(self, label: int) -> str:
        """One sentence of this label."""
        text = self.fill(self.chosen(self.frames), label, self.rng.choice(SCENES)).strip()
        upper = self.language == "en" and self.rng.random() < 0.8
        return text[:1].upper() + text[1:] if upper else text


# Two negations in a row are no Chinese.
CLUMSY = re.compile("不不|不没|没没|没有没|没一直|不一直")


def sentences(writer: Writer, count: int) -> Pairs:
    """(sentence, label) pairs; label 1 is positive."""
    out: Pairs = []
    while len(out) < count:
        label = writer.rng.randrange(2)
        text = writer.sentence(label)
        if not CLUMSY.search(text):
            out.append((text, label))
    return out


def neutral(language: str, count: int, rng: random.Random) -> Pairs:
    """Sentences without an opinion, labelled by a coin."""
    writer, templates = Writer(language, rng), options(NEUTRAL[language])
    return [(writer.fill(rng.choice(templates), 0, rng.choice(SCENES)), rng.randrange(2)) for _ in range(count)]


RUN = {"en": (5, re.compile("[a-z']+")), "zh": (6, re.compile("[\u4e00-\u9fff]"))}


def runs(text: str, language: str) -> set[tuple[str, ...]]:
    """All runs of five words (English) or six characters (Chinese)."""
    n, piece = RUN[language]
    pieces = piece.findall(text.lower())
    return {tuple(pieces[i : i + n]) for i in range(len(pieces) - n + 1)}


def corpus(language: str, seed: int) -> tuple[Pairs, Pairs]:
    """Training sentences, the short ones first, and distinct held-out ones; both depend on the seed alone.

    A held-out sentence that by chance shares more than a tenth of its long runs with training is left out.
    """
    rng = random.Random(f"{seed} {language}")
    learn = sentences(Writer(language, rng, short=True), SHORT) + sentences(Writer(language, rng), LONG)
    held = dict(sentences(Writer(language, rng, held=True), HELD_OUT + HELD_OUT // 2))
    seen = set().union(*(runs(text, language) for text, _ in learn))
    alone = [(t, y) for t, y in held.items() if len(runs(t, language) & seen) <= 0.1 * len(runs(t, language))]
    return learn, alone[:HELD_OUT]
