"""The standard library's dataclasses, made at a tenth of their cost.

`dataclasses` writes the source of up to eight methods for each class and compiles it when the class is declared: at
some 150 classes that is a third of what `attndsl check` would take. Here a class is declared with methods that are
shared, and the one that is worth compiling, `__init__`, is compiled when the first instance is made. What is made is a
dataclass to everybody (`dataclasses.fields`, `replace` and `is_dataclass` know it), and to the type checker it is one
of the standard library's. Options that nobody here uses are not there.

A frozen record with slots, as most are, extends `Frozen`, and so do all of its kind (ops, trees, passes) by extending
the first of them; others are decorated.
"""

from __future__ import annotations

from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import MISSING, Field, dataclass, field, fields, replace
    from dataclasses import is_dataclass as is_record
    from typing import ClassVar, dataclass_transform

    @dataclass_transform(frozen_default=True, field_specifiers=(field,))
    class Frozen:
        """What extends it, directly or not, is a frozen record with slots; records of one kind are compared by what
        they hold, unless the first class of the kind says `eq=False`."""

        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

        def __init_subclass__(cls, *, eq: bool = True) -> None: ...
else:
    MISSING = object()

    class Field:
        """What is known of a field; `field` gives one, and a default stands for `field(default=…)`."""

        __slots__ = ("compare", "default", "default_factory", "init", "name", "repr", "type")

        def __init__(self, default, default_factory, repr, compare):
            self.default, self.default_factory, self.repr, self.compare = default, default_factory, repr, compare
            self.init = True

    def field(*, default=MISSING, default_factory=MISSING, repr=True, compare=True):
        return Field(default, default_factory, repr, compare)

    def fields(record):
        """The fields of a record or of its class, in order."""
        return tuple(record.__record_fields__.values())

    def is_record(item):
        """Whether it has `fields`: what `is_dataclass` says too, after making the standard library's fields."""
        return hasattr(item, "__record_fields__")

    def replace(record, /, **changes):
        """The same record with other values in some fields."""
        for name in record.__record_fields__:
            if name not in changes:
                changes[name] = getattr(record, name)
        return type(record)(**changes)

    def dataclass(cls=None, /, *, frozen=False, slots=False, eq=True):
        if cls is None:
            return lambda cls: _declare(cls, frozen, slots, eq)
        return _declare(cls, frozen, slots, eq)

    def _declare(cls, frozen, slots, eq):
        own = _own_fields(cls)
        known = {}
        for base in reversed(cls.__mro__):
            known |= base.__dict__.get("__record_fields__", {})
        known |= own
        if slots:
            cls = _with_slots(cls, own)
        else:
            for name, its in own.items():
                if its.default is not MISSING:
                    setattr(cls, name, its.default)
                elif name in cls.__dict__:
                    delattr(cls, name)
        methods = {"__init__": _first_init(cls, known, frozen), "__repr__": _repr}
        if eq:
            methods |= _comparing(known)
            methods["__hash__"] = methods["__hash__"] if frozen else None
        if frozen:
            methods |= _freezing(cls, known)
            if slots:
                methods |= {"__getstate__": _getstate, "__setstate__": _setstate}
        said = cls.__dict__
        if "__eq__" in said and said.get("__hash__", MISSING) is not None:
            methods.pop("__hash__", None)
        for name, method in methods.items():
            if name not in said or (name == "__hash__" and said[name] is None):
                setattr(cls, name, method)
        cls.__record_fields__, cls.__record_eq__ = known, eq
        cls.__match_args__ = tuple(known)
        cls.__dataclass_fields__ = _Standard("__dataclass_fields__")
        cls.__dataclass_params__ = _Standard("__dataclass_params__")
        return cls

    class _FrozenClass(type):
        def __new__(mcs, name, bases, namespace, **options):
            kind = next((base for base in bases if hasattr(base, "__record_fields__")), None)
            if options.keys() - ({"eq"} if kind is None else ()):
                raise TypeError(f"{name}: the first class of a kind of records may say `eq`, and none says more")
            annotated = namespace.get("__annotations__") or not namespace.keys().isdisjoint(_ANNOTATE)
            if kind is not None and not annotated:
                namespace.setdefault("__slots__", ())  # all else is as in what it extends
            made = super().__new__(mcs, name, bases, namespace)
            if "__slots__" in namespace:  # such a one, or what `_declare` has made of one
                return made
            return _declare(made, True, True, options.get("eq", True) if kind is None else kind.__record_eq__)

    _ANNOTATE = ("__annotate__", "__annotate_func__")  # what Python 3.14 has in a class's body for its annotations

    class Frozen(metaclass=_FrozenClass):
        __slots__ = ()

    def _own_fields(cls):
        own = {}
        for name, kind in cls.__annotations__.items():
            if str(kind).startswith(("ClassVar", "typing.ClassVar")):
                continue
            given = cls.__dict__.get(name, MISSING)
            its = given if isinstance(given, Field) else Field(given, MISSING, True, True)
            if its.default.__class__.__hash__ is None:
                raise ValueError(f"{cls.__qualname__}.{name}: a default that can change would be shared: use a factory")
            its.name, its.type = name, kind
            own[name] = its
        return own

    def _with_slots(cls, own):
        """The class again, which is the only way to give one slots."""
        above = {slot for base in cls.__mro__[1:] for slot in base.__dict__.get("__slots__", ())}
        namespace = {name: value for name, value in cls.__dict__.items() if name not in own}
        namespace["__slots__"] = tuple(name for name in own if name not in above)
        namespace.pop("__dict__", None)
        namespace.pop("__weakref__", None)
        made = type(cls)(cls.__name__, cls.__bases__, namespace)
        made.__qualname__ = cls.__qualname__
        return made

    def _first_init(cls, known, frozen):
        """An `__init__` that puts the compiled one in its place."""

        def __init__(self, *args, **values):
            if cls.__dict__["__init__"] is __init__:
                type.__setattr__(cls, "__init__", _compiled(cls, known, frozen))
            cls.__init__(self, *args, **values)

        return __init__

    def _compiled(cls, known, frozen):
        names = {"_missing": MISSING, "_set": object.__setattr__}
        parameters, body = ["self"], []
        for name, its in known.items():
            value = name
            if its.default is not MISSING:
                names[f"_default_{name}"] = its.default
                parameters.append(f"{name}=_default_{name}")
            elif its.default_factory is not MISSING:
                names[f"_new_{name}"] = its.default_factory
                parameters.append(f"{name}=_missing")
                value = f"_new_{name}() if {name} is _missing else {name}"
            else:
                parameters.append(name)
            slot = getattr(cls, name, None) if name in _slots(cls) else None
            if slot is not None:
                names[f"_set_{name}"] = slot.__set__
                body.append(f"  _set_{name}(self, {value})")
            else:
                body.append(f"  _set(self, {name!r}, {value})" if frozen else f"  self.{name} = {value}")
        if hasattr(cls, "__post_init__"):
            body.append("  self.__post_init__()")
        text = f"def __init__({', '.join(parameters)}):\n" + ("\n".join(body) or "  pass")
        exec(text, names)
        made = names["__init__"]
        made.__qualname__, made.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
        return made

    def _slots(cls):
        return {slot for base in cls.__mro__ for slot in base.__dict__.get("__slots__", ())}

    @recursive_repr()
    def _repr(self):
        shown = (f"{its.name}={getattr(self, its.name)!r}" for its in fields(self) if its.repr)
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def _comparing(known):
        names = [its.name for its in known.values() if its.compare]
        if len(names) > 1:
            values = attrgetter(*names)
        else:

            def values(self):
                return tuple(getattr(self, name) for name in names)

        def __eq__(self, other):
            if other.__class__ is not self.__class__:
                return NotImplemented
            return values(self) == values(other)

        def __hash__(self):
            return hash(values(self))

        return {"__eq__": __eq__, "__hash__": __hash__}

    def _freezing(cls, known):
        def refuse(self, name):
            if type(self) is cls or name in known:
                from dataclasses import FrozenInstanceError

                raise FrozenInstanceError(f"`{name}` of a {type(self).__qualname__} stays as it is")

        def __setattr__(self, name, value):
            refuse(self, name)
            object.__setattr__(self, name, value)

        def __delattr__(self, name):
            refuse(self, name)
            object.__delattr__(self, name)

        return {"__setattr__": __setattr__, "__delattr__": __delattr__}

    def _getstate(self):
        return [getattr(self, name) for name in self.__record_fields__]

    def _setstate(self, state):
        for name, value in zip(self.__record_fields__, state, strict=True):
            object.__setattr__(self, name, value)

    class _Standard:
        """What the standard library keeps of a dataclass, made when somebody asks."""

        def __init__(self, name):
            self.name = name

        def __get__(self, record, cls):
            import dataclasses

            namespace = {"__annotations__": {its.name: its.type for its in fields(cls)}}
            for its in fields(cls):
                options = {"repr": its.repr, "compare": its.compare}
                if its.default is not MISSING:
                    options["default"] = its.default
                elif its.default_factory is not MISSING:
                    options["default_factory"] = its.default_factory
                namespace[its.name] = dataclasses.field(**options)
            frozen = cls.__setattr__ is not object.__setattr__
            made = dataclasses.dataclass(init=False, repr=False, eq=False, frozen=frozen)(
                type(cls.__name__, (), namespace)
            )
            return getattr(made, self.name)


__all__: list[Any] = ["MISSING", "Field", "Frozen", "dataclass", "field", "fields", "is_record", "replace"]
