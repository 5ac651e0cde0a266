"""Many videos out of the shards, shard by shard."""

from collections.abc import Iterable, Iterator

from aadc.extract.shards import ShardSet, VideoFeatures


def read_videos(shards: ShardSet, keys: Iterable[str], names: Iterable[str]) -> Iterator[tuple[str, VideoFeatures]]:
    """(key, features) of these videos in the order in which the shards hold them, so that each shard is opened once; only the
    datasets in `names` are read, and one video is in memory at a time."""
    if hasattr(shards, "read_videos"):
        yield from shards.read_videos(keys, names)
        return
    for key in sorted(keys, key=lambda key: shards.entries[key].path):
        yield key, shards.read(key, names)
