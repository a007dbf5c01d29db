"""Everything this library raises on purpose.

    PlantDiseaseError
    ├── ImageError                 the photo cannot be used; the caller must send another
    │   ├── EmptyImage             no bytes
    │   ├── UnsupportedFormat      not JPEG, PNG or WebP
    │   ├── UnreadableImage        claims to be one of these, and cannot be decoded
    │   ├── ImageTooSmall          less than MIN_SIDE pixels on one side
    │   └── ImageTooLarge          too many bytes or pixels
    ├── ArchiveRefused             a ZIP that is damaged, or built to do harm
    │   └── ArchiveTooLarge        it unpacks to more than is accepted
    ├── BatchTooLarge              the photos before this one were as much as one batch may have
    ├── OutOfTime                  the batch ended before this photo was looked at
    ├── StorageError               the bucket or folder did not give what was asked
    │   ├── NotFound               no such object, bucket or folder
    │   ├── PermissionDenied       the credentials do not allow it, or there are none
    │   ├── PreconditionFailed     someone else wrote the object first
    │   ├── WrongRegion            the bucket lies in another region than the one configured
    │   ├── TooLarge               the object is larger than the reader is ready to hold
    │   └── StorageUnavailable     time-out, refused connection, 5xx: may pass; was retried
    ├── BundleError                the model bundle is not what its manifest promises
    ├── JobsError                  a job cannot go on as it is
    │   ├── QueueUnavailable       the queue has not taken the chunks of a job
    │   ├── WebhookRefused         a webhook to an address that is not allowed
    │   └── WebhookFailed          nobody has taken the news of a job's end
    ├── UsageUnreadable            what lies among the usage events is none
    ├── PublishRefused             a version or a channel cannot be changed in the way that was asked
    ├── KeysError                  the document of the API keys is malformed, or cannot be changed as asked
    ├── ConfigurationError         an environment variable or option cannot be used
    ├── RuntimeUnavailable         the inference runtime asked for is not installed
    └── InvalidQuestion            a parameter does not fit the model
        ├── UnknownCrop            the crop hint names no crop of this model
        └── TooManyClasses         more classes asked for than there are

The core knows no HTTP; `service.problems` maps these to status codes.
"""

import re


class PlantDiseaseError(Exception):
    """Base of all errors below. `str(error)` says what was wrong and what to do, for a person.

    Attributes:
        code: the same in a word, for programs: the name of the class.
    """

    code: str

    def __init_subclass__(cls) -> None:
        cls.code = re.sub("(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()


class ImageError(PlantDiseaseError):
    """A photo that cannot be diagnosed."""


class EmptyImage(ImageError):
    """There are no bytes."""


class UnsupportedFormat(ImageError):
    """The bytes are not JPEG, PNG or WebP."""


class UnreadableImage(ImageError):
    """The bytes start like an accepted format and cannot be decoded, for example because they are cut off."""


class ImageTooSmall(ImageError):
    """The photo has too few pixels to show a leaf."""


class ImageTooLarge(ImageError):
    """The photo has more bytes or more pixels than is accepted."""


class ArchiveRefused(PlantDiseaseError):
    """A ZIP cannot be read, or has what no archive of photos needs: encryption, archives, paths that lead out."""


class ArchiveTooLarge(ArchiveRefused):
    """A ZIP unpacks to more than is accepted."""


class BatchTooLarge(PlantDiseaseError):
    """The photos of a batch that came before this one have used up its bytes or pixels."""


class OutOfTime(PlantDiseaseError):
    """The time of a batch was over before this photo was looked at."""


class StorageError(PlantDiseaseError):
    """A bucket or folder did not give what was asked."""


class NotFound(StorageError):
    """No such object, bucket or folder."""


class PermissionDenied(StorageError):
    """The credentials do not allow this, or there are none."""


class PreconditionFailed(StorageError):
    """The object was written by someone else since it was read, or exists already."""


class WrongRegion(StorageError):
    """The bucket lies in another region than the one configured."""


class TooLarge(StorageError):
    """The object has more bytes than the reader is ready to hold."""


class StorageUnavailable(StorageError):
    """The store did not answer in time or failed; retried without success, and may work later."""


class BundleError(PlantDiseaseError):
    """A model bundle is not what its manifest promises: wrong size, wrong sha256, invalid manifest."""


class JobsError(PlantDiseaseError):
    """A job cannot go on as it is."""


class QueueUnavailable(JobsError):
    """The queue has not taken the chunks of a job, or not all of them."""


class WebhookRefused(JobsError):
    """A webhook leads to a host or an address that is not allowed."""


class WebhookFailed(JobsError):
    """The receiver of a webhook has not answered, or not with a status of 2xx."""


class UsageUnreadable(PlantDiseaseError):
    """An object among the usage events holds something else."""


class PublishRefused(PlantDiseaseError):
    """A version is there already with other content, or a channel cannot be moved so."""


class KeysError(PlantDiseaseError):
    """The document of the API keys is malformed, or a key cannot be made or changed in the way that was asked."""


class ConfigurationError(PlantDiseaseError):
    """An environment variable or a command line option has a value that cannot be used."""


class RuntimeUnavailable(PlantDiseaseError):
    """The inference runtime that was asked for is not installed."""


class InvalidQuestion(PlantDiseaseError):
    """A parameter of a request does not fit the model."""


class UnknownCrop(InvalidQuestion):
    """The crop hint names no crop that this model knows."""


class TooManyClasses(InvalidQuestion):
    """More classes are asked for than the model has."""
