"""Descriptions of a WebRTC connection (SDP, RFC 8866): offers are checked before anything is made for them.

Offers come from whoever has a token, so they are hostile: parsed under guard, at most one picture, no names to look up, few
addresses to send to.
"""

import ipaddress
import re
from enum import Enum
from typing import NamedTuple

from aiortc.sdp import MediaDescription, SessionDescription

LARGEST = 64 * 1024  # characters; a browser's offer with every codec has 8,000
MOST_CANDIDATES = 16
_PICTURES = ("VP8", "H264")  # what aiortc can decode


class OfferError(Exception):
    """An offer that is not taken. `malformed`: it is none at all; else it asks for what is not done here."""

    def __init__(self, text: str, malformed: bool = False) -> None:
        super().__init__(text)
        self.malformed = malformed


class Way(Enum):
    """Which way the picture goes: to us (WHIP) or to them (WHEP)."""

    IN = "sendonly"
    OUT = "recvonly"


class Offer(NamedTuple):
    """What is left of a checked offer: its text without what is not followed, and whether sound is offered (never taken)."""

    text: str
    has_sound: bool


def checked(text: str, way: Way) -> Offer:
    """Check an offer for one picture.

    Raises:
        OfferError: says what is wrong with it.
    """
    if len(text) > LARGEST or text.count("\n") > 2000:
        raise OfferError(f"the offer is longer than {LARGEST} characters", malformed=True)
    if not text.startswith("v=0") or any(ord(c) < 32 and c not in "\r\n\t" for c in text):
        raise OfferError("this is no session description", malformed=True)
    text = _without_far_candidates(text)
    try:
        offer = SessionDescription.parse(text)
    except Exception as error:  # the parser asserts, indexes and looks up as it goes: whatever it raises, the text is at fault
        raise OfferError(f"the session description cannot be read ({type(error).__name__})", malformed=True) from error
    pictures = [media for media in offer.media if media.kind == "video"]
    sounds = [media for media in offer.media if media.kind == "audio"]
    if len(pictures) != 1 or len(sounds) > 1 or len(offer.media) != len(pictures) + len(sounds):
        raise OfferError("one video track is taken, at most one audio track beside it, and nothing else")
    mids = [media.rtp.muxId or "" for media in offer.media]
    if len(set(mids)) != len(mids) or any(not re.fullmatch(r"[\w.~+/=-]{1,32}", mid) for mid in mids):
        raise OfferError("each track needs a name of its own (a=mid)", malformed=True)
    if sounds and not any(group.semantic == "BUNDLE" and set(group.items) == set(mids) for group in offer.group):
        raise OfferError("all tracks must share one connection (a=group:BUNDLE)")
    _check_picture(pictures[0], way)
    for media in offer.media:
        ice, dtls = media.ice, media.dtls
        if not (ice and ice.usernameFragment and ice.password and dtls and dtls.fingerprints):
            raise OfferError("ICE credentials, a fingerprint or a=setup are missing", malformed=True)
        if any(print_.algorithm.lower() not in ("sha-256", "sha-384", "sha-512") for print_ in dtls.fingerprints):
            raise OfferError("the certificate's fingerprint must be SHA-256, 384 or 512")
    return Offer(text, bool(sounds))


def _check_picture(picture: MediaDescription, way: Way) -> None:
    if picture.direction not in (way.value, "sendrecv"):
        raise OfferError(f"the video track must be {way.value}, it is {picture.direction}")
    names = {codec.name.upper() for codec in picture.rtp.codecs}
    if way is Way.IN and not names & set(_PICTURES):
        raise OfferError(f"the video must be offered as {' or '.join(_PICTURES)}")
    if way is Way.OUT and not any(
        codec.name.upper() == "H264" and str(codec.parameters.get("packetization-mode")) == "1" for codec in picture.rtp.codecs
    ):
        raise OfferError("the video is H.264 with packetization-mode=1, which was not offered")


def _without_far_candidates(text: str) -> str:
    """Only addresses over UDP written as numbers, and few: a name would be asked for all over the network (mDNS), and an offer
    makes this machine send to each address."""
    kept, left = [], MOST_CANDIDATES
    for line in text.splitlines():
        if line.startswith("a=candidate:"):
            words = line.split()
            if left == 0 or len(words) < 8 or words[2].lower() != "udp" or not _can_be_sent_to(words[4]):
                continue
            left -= 1
        if line and line != "a=end-of-candidates":
            kept.append(line)
    return "\r\n".join(kept) + "\r\n"


def _can_be_sent_to(word: str) -> bool:
    try:
        address = ipaddress.ip_address(word)
    except ValueError:
        return False
    return not (address.is_multicast or address.is_unspecified or word == "255.255.255.255")


def finished(answer: str, most_kbit: int, public_address: str | None = None) -> str:
    """The answer as it is sent: with the most a publisher may send (RFC 8866 5.8, RFC 3890), and where this machine is known
    under another address, that one in its candidates. Its certificate has one fingerprint, as browsers' have: libdatachannel
    (OBS) keeps the last of several, and where its handshake begins before it has read them, which happens on busy machines, it
    reckons with SHA-256."""
    lines = []
    in_picture = False
    for line in answer.splitlines():
        if line.startswith("a=fingerprint:") and not line.startswith("a=fingerprint:sha-256 "):
            continue
        if line.startswith("m="):
            in_picture = line.startswith("m=video")
        if public_address and line.startswith("a=candidate:"):
            words = line.split()
            same_kind = (":" in words[4]) == (":" in public_address)
            if words[7] == "host" and not same_kind:
                continue
            if words[7] == "host":
                words[4] = public_address
            line = " ".join(words)
        lines.append(line)
        if in_picture and line.startswith("c="):
            lines += [f"b=AS:{most_kbit}", f"b=TIAS:{most_kbit * 1000}"]
    return "\r\n".join(lines) + "\r\n"
