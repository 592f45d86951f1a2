"""Segment scans with the networks of a run, of its folds together, or of a whole cross-validation.

Photographs are classified by the same command: predict.py --model resnet50 --help.
"""

import resource
import time
from argparse import Namespace
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path

from mindvoxel.cli import common, inputs, predict_photos
from mindvoxel.cli.made import record_masks
from mindvoxel.data.ahead import in_order
from mindvoxel.data.dataset import Case, read_image
from mindvoxel.data.images import suffix_of
from mindvoxel.errors import InputError, WorkError
from mindvoxel.log import LOGGER, set_up
from mindvoxel.prediction.predictor import ENGINES, PRECISIONS, TTA, Options, Predictor
from mindvoxel.prediction.trained import CHECKPOINTS, Trained, find_trained
from mindvoxel.volume import Volume, write_volume

_FAULTS = (InputError, WorkError, MemoryError)  # of one case: the others go on


def main(argv: Sequence[str] | None = None, model: str | None = None) -> int:
    return common.run(lambda words: predict(words, model), argv)


def parse(argv: Sequence[str]) -> Namespace:
    parser = common.Parser("predict.py", __doc__)
    parser.add_argument("--model", help="of the runs, which say it themselves if not given")
    parser.add_argument("--model_dir", required=True, help="a run, OUT/CONFIGURATION with its folds, or OUT: the best")
    parser.add_argument(
        "--input", nargs="+", help="an image, the channel files of one case, a folder of images, or a data set"
    )
    parser.add_argument("--output", help="folder of masks, CASE with the type of its image; or one file")
    parser.add_argument("--folds", type=common.numbers, help="as 0,1,2; all that are there if not given")
    parser.add_argument("--checkpoint", choices=CHECKPOINTS, default="last", help="of each run: last.ckpt or best.ckpt")
    parser.add_argument("--tta", choices=TTA, help="windows mirrored along every axis, too; as the run if not given")
    parser.add_argument("--overlap", type=float, help="share of a window, 0 to 1; as the plan's system if not given")
    parser.add_argument("--engine", choices=ENGINES, default="mindspore", help="openvino computes on the CPU")
    parser.add_argument("--precision", choices=PRECISIONS, default="f32", help="in which the CPU multiplies")
    common.add_prune_flag(parser)
    text = "mm along z,y,x of images that know no spacing, as pictures; as the training data's if not given"
    parser.add_argument("--spacing_mm", type=common.spacing, metavar="Z,Y,X", help=text)
    parser.add_argument("--save_probabilities", action="store_true", help="also probabilities/CASE_VALUE, float32")
    parser.add_argument("--overwrite", action="store_true", help="masks that are there are made anew, else skipped")
    speed = parser.add_argument_group("speed")
    speed.add_argument("--benchmark", action="store_true", help="time calls of the network, read and write nothing")
    speed.add_argument("--batch_size", type=int, default=1, help="windows a call, of --benchmark")
    speed.add_argument("--bench_steps", type=int, default=200, help="calls that are timed")
    speed.add_argument("--bench_warmup_steps", type=int, default=100, help="calls before them")
    common.add_device_flags(parser)
    args = parser.parse_args(argv)
    if not args.benchmark and (args.input is None or args.output is None):
        raise InputError("--input and --output are needed")
    if args.batch_size < 1 or args.bench_steps < 1 or args.bench_warmup_steps < 0:
        raise InputError("--batch_size and --bench_steps must be 1 or more, --bench_warmup_steps 0 or more")
    return args


def predict(argv: Sequence[str], model: str | None = None) -> None:
    if predict_photos.is_meant(argv, model):
        predict_photos.predict(argv, model)
        return
    args = parse(argv)
    set_up()
    options = Options(**{name: getattr(args, name) for name in asdict(Options())})
    trained = find_trained(args.model_dir, options.folds, options.checkpoint)
    common.check_model(trained.model, args, model)
    if args.spacing_mm is not None:
        trained = replace(trained, spacing_mm=args.spacing_mm)
    if args.benchmark:
        _benchmark(args, trained, options)
        return
    job = _Job.of(args, trained, options)
    if job.cases:
        predictor = Predictor(trained, **asdict(options))
        LOGGER.info("%s", _describe(trained))
        with common.unwound():
            job.run(predictor)


def _describe(trained: Trained) -> str:
    """One line of what predicts."""
    every = trained.previous | trained.checkpoints
    networks = ", ".join(f"{len(paths)} of {name}" for name, paths in every.items())
    groups = "; ".join(" and ".join(map(str, group)) for group in trained.postprocessing)
    kept = f"; of the labels {groups} only the largest component is kept" if groups else ""
    return f"{trained.model}: networks {networks}{kept}"


@dataclass
class _Job:
    """Cases that are to be predicted, where their masks go, and how long each stage took, s."""

    cases: list[Case]
    trained: Trained
    masks: dict[str, Path]
    probabilities: bool
    seconds: dict[str, float] = field(default_factory=lambda: {"read": 0.0, "network": 0.0, "write": 0.0})
    windows: int = 0
    failed: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, args: Namespace, trained: Trained, options: Options) -> "_Job":
        """What the flags ask for; every header is read, and the folders are made."""
        cases = inputs.find_cases(args.input, trained.num_channels)
        inputs.check_headers(cases, trained.num_channels, trained.spacing_mm)
        if args.save_probabilities and trained.plan is None:
            raise InputError(f"{trained.model} gives masks alone; leave --save_probabilities out")
        masks = inputs.mask_paths(cases, args.output)
        first = next(iter(masks.values()))
        if first == Path(args.output) and first.exists() and not args.overwrite:
            raise InputError(f"{first}: is there already; name another --output, or say --overwrite")
        folder = common.new_folder(first.parent)
        if first != Path(args.output):
            record_masks(folder, _how(args, trained, options), cases, masks, args.overwrite)
        if args.save_probabilities:
            common.new_folder(folder / "probabilities")
        job = cls(cases, trained, masks, args.save_probabilities)
        job.cases = [case for case in cases if args.overwrite or not job.is_done(case)]
        done = len(cases) - len(job.cases)
        if done:
            LOGGER.info("%d of %d masks are there and stay; --overwrite renews", done, len(cases))
        return job

    def is_done(self, case: Case) -> bool:
        return all(path.exists() for path in (self.masks[case.case], *(self._probability_paths(case) or ())))

    def run(self, predictor: Predictor) -> None:
        """Predict all cases: while the network computes, the next case is read and the last mask is written."""

        def prepare(case: Case):
            start = time.perf_counter()
            try:
                scan = read_image(case, self.trained.spacing_mm)
                return predictor.prepare(scan, case.case), time.perf_counter() - start
            except (*_FAULTS, OSError) as error:
                return error, 0.0

        begin, writing = time.perf_counter(), None
        with ThreadPoolExecutor(1) as writer:
            prepared = in_order(prepare, ([case] for case in self.cases), num_workers=1, steps_ahead=2)
            for number, (case, ((ready, seconds),)) in enumerate(zip(self.cases, prepared, strict=True), 1):
                self.seconds["read"] += seconds
                start = time.perf_counter()
                mask = self._segment(predictor, case, ready)
                if mask is None:
                    continue
                spent = time.perf_counter() - start
                self.seconds["network"] += spent
                self._written(writing)
                writing = writer.submit(_write, self.masks[case.case], mask)
                text = "%d/%d %s: read and preprocessed in %.2f s, predicted in %.2f s"
                LOGGER.info(text, number, len(self.cases), case.case, seconds, spent)
            self._written(writing)
        self._tell(time.perf_counter() - begin)

    def _segment(self, predictor: Predictor, case: Case, ready) -> Volume | None:
        """The labels of a prepared case; None, told in the log, where it or its reading failed."""
        fault = ready
        if not isinstance(ready, Exception):
            try:
                self.windows += predictor.num_windows(ready)
                return predictor.segment(ready, self._probability_paths(case))
            except _FAULTS as error:
                fault = error
        self.failed.append(case.case)
        LOGGER.error("%s failed: %s", case.case, str(fault) or "not enough memory")
        return None

    def _probability_paths(self, case: Case) -> list[Path] | None:
        if not self.probabilities:
            return None
        mask = self.masks[case.case]
        suffix = suffix_of(mask)
        folder = mask.parent / "probabilities"
        return [folder / f"{case.case}_{value}{suffix}" for value in self.trained.plan.label_values]

    def _written(self, writing: Future | None) -> None:
        if writing is not None:
            self.seconds["write"] += writing.result()

    def _tell(self, total: float) -> None:
        read, network, write = self.seconds.values()
        num = len(self.cases)
        LOGGER.info("%d of %d cases in %.1f s, %.2f s each", num - len(self.failed), num, total, total / num)
        LOGGER.info("read and preprocess %.1f s, network and way back %.1f s, write %.1f s", read, network, write)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        speed = self.windows / network if network else 0.0  # where every case failed
        LOGGER.info("%d windows, %.1f a second; peak memory %.0f MB", self.windows, speed, peak)
        if self.failed:
            raise WorkError(
                f"{len(self.failed)} of {num} cases failed ({', '.join(self.failed)}), the log above says why; mend "
                "them and give the command again, which makes what lacks"
            )


def _write(path: Path, mask: Volume) -> float:
    """Seconds that writing took."""
    start = time.perf_counter()
    write_volume(path, mask)
    return time.perf_counter() - start


def _how(args: Namespace, trained: Trained, options: Options) -> dict:
    """What decides the masks: options, networks, and when these were written."""
    every = [path for paths in (trained.previous | trained.checkpoints).values() for path in paths]
    newest = max(path.stat().st_mtime for path in every)
    words = {key: value for key, value in asdict(options).items() if not key.startswith("device")}
    words["spacing_mm"] = trained.spacing_mm and list(trained.spacing_mm)
    weights_of = datetime.fromtimestamp(newest).isoformat(sep=" ")
    return words | {"model_dir": str(Path(args.model_dir).resolve()), "weights_of": weights_of}


def _benchmark(args: Namespace, trained: Trained, options: Options) -> None:
    from mindvoxel.train import device

    device.prepare(options.target, options.device_id)
    from mindvoxel.prediction.engines import load_engine
    from mindvoxel.train.benchmark import time_prediction

    for name, paths in trained.checkpoints.items():
        how = {"engine": options.engine, "precision": options.precision, "prune": options.prune}
        engine = load_engine(paths[0], trained.model, **how, batch_size=args.batch_size)
        shape = (args.batch_size, *engine.window)
        LOGGER.info("%s: %d windows of %s a call", name, args.batch_size, engine.window)
        for figure, value in time_prediction(engine.run, shape, args.bench_steps, args.bench_warmup_steps).items():
            LOGGER.info("%s: %s %s", figure, value, "windows/s" if figure.startswith("throughput") else "ms")


if __name__ == "__main__":
    raise SystemExit(main())
