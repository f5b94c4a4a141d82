"""Decides whether an injection can run, from the request, the head's header and what is online."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from headgraft.service.injections.checks import (
    attribute_problems,
    injection_problems,
    joint_problem,
    prompt_problem,
)
from headgraft.service.injections.feature_checks import (
    attention_problems,
    bias_problems,
    feature_problems,
)
from headgraft.service.schemas.injections import MethodResource
from headgraft.service.schemas.requests import InjectionRequest
from headgraft.service.uploads.locate_head import LocatedHead
from headgraft.service.web.pointers import Problem, setting_problems
from headgraft.service.web.problems import invalid
from headgraft.workers.formats.find_head import HeadTensors
from headgraft.workers.jobs.presence import EncoderPresence, Presence
from headgraft.workers.jobs.spec import NameEmbeddings, StoredFeatures, StoredHead
from headgraft.workers.jobs.summary import (
    EmbeddingsSummary,
    FeaturesSummary,
    HeadSummary,
    Summary,
)

METHODS_FILE = Path(__file__).parents[1] / "methods.json"


def read_methods(path: Path = METHODS_FILE) -> dict[str, MethodResource]:
    """Return the installed methods by name."""
    methods = json.loads(path.read_text(encoding="utf-8"))
    return {name: MethodResource(name=name, **about) for name, about in methods.items()}


@dataclass(frozen=True)
class InjectionValidator:
    """What a request is held against: the installed methods and the workers online."""

    methods: Mapping[str, MethodResource]
    workers: Sequence[Presence]

    @cached_property
    def encoders(self) -> dict[str, int]:
        """The encoders announced by the workers online: name -> dimension."""
        return {name: encoder.dimension for name, encoder in self._announced.items()}

    @cached_property
    def _announced(self) -> dict[str, EncoderPresence]:
        return {name: one for worker in self.workers for name, one in worker.encoders.items()}

    def validate(
        self,
        request: InjectionRequest,
        located: LocatedHead,
        features: StoredFeatures | None = None,
    ) -> None:
        """Return when this injection can run; else a 422 problem with every defect found."""
        problems = [
            *injection_problems(request, located.class_names),
            *self._method_problems(request, located.tensors),
            *self._encoder_problems(request),
            *bias_problems(request, located.tensors),
            *self._feature_problems(request, located, features),
        ]
        if problems:
            raise invalid(problems)

    def _method_problems(
        self, request: InjectionRequest, tensors: HeadTensors | None
    ) -> list[Problem]:
        method = self.methods.get(request.method)
        if method is None:
            legal = ", ".join(sorted(self.methods))
            return [Problem("/method", f"method {request.method!r} is not one of {legal}")]
        problems = setting_problems(request.method, request.settings, method.settings)
        if tensors and "joint_embeddings" in method.needs:
            joint = joint_problem(request, tensors, self._encoder_size(request))
            problems += [joint] if joint else []
        if "text_tower" in method.needs:
            prompts = prompt_problem(request, tensors, self._announced)
            problems += [prompts] if prompts else []
        problems += attribute_problems(request, method.needs, self.encoders)
        return problems + attention_problems(request, method.needs)

    def _feature_problems(
        self, request: InjectionRequest, located: LocatedHead, features: StoredFeatures | None
    ) -> list[Problem]:
        method = self.methods.get(request.method)
        size = located.tensors.feature_size if located.tensors else None
        return feature_problems(
            request,
            features,
            method.needs if method else (),
            size,
            len(located.class_names),
            method.takes if method else (),
        )

    def _encoder_size(self, request: InjectionRequest) -> int | None:
        wanted = request.class_embeddings
        return self.encoders.get(wanted.encoder) if isinstance(wanted, NameEmbeddings) else None

    def _encoder_problems(self, request: InjectionRequest) -> list[Problem]:
        wanted = request.class_embeddings
        if not isinstance(wanted, NameEmbeddings) or not self.encoders:
            return []
        if wanted.encoder in self.encoders:
            return []
        legal = ", ".join(sorted(self.encoders))
        detail = f"encoder {wanted.encoder!r} is not one of those online: {legal}"
        return [Problem("/class_embeddings/encoder", detail)]


def summarize(
    request: InjectionRequest, head: StoredHead, features: StoredFeatures | None = None
) -> Summary:
    """Return what the record says of the request, without its vectors and names.

    Of a head in a torch file it says what the request said; the rest is not known yet.
    """
    wanted = request.class_embeddings
    used = None
    if features and request.features_id:
        used = FeaturesSummary(id=request.features_id, **dict(features.counts))
    return Summary(
        method=request.method,
        settings=request.settings,
        class_embeddings=EmbeddingsSummary(kind=wanted.kind, encoder=wanted.encoder),
        seen_count=len(head.class_names),
        unseen_count=len(request.add),
        head=HeadSummary(
            id=request.head_id,
            sha256=head.sha256,
            bytes=head.bytes,
            format=head.format,
            **dict(head.shape),
        ),
        features=used,
    )
