//! Digests of creations and registrations. Two requests with the same digest are the same request.
//!
//! A digest is the SHA-256 of the request in a canonical form: the document as this version writes it (so the
//! order of keys and white space do not count, and an absent field equals its default), with each payload without insignificant
//! white space, its keys in the given order, and its numbers and strings as spelt. The gid and the headers are not part of
//! it. A golden test pins the form, because digests are kept in the journal and compared with later requests for ever.

use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use trine_engine::{BranchSpec, Digest};
use trine_protocol::v1::{Branch, CreateTransaction};

use trine_protocol::json;

/// Digest of a creation, whose branches have digests already. While its other fields are written, the request lends its gid and
/// branches out, which is cheaper than a copy without them.
pub(super) fn of_creation(request: &mut CreateTransaction, branches: &[BranchSpec]) -> Digest {
    let lent = (request.gid.take(), std::mem::take(&mut request.branches));
    let mut hash = Sha256::new_with_prefix(b"trine creation 1\n");
    update(&mut hash, request);
    (request.gid, request.branches) = lent;
    for branch in branches {
        hash.update(branch.digest.0);
    }
    Digest(hash.finalize().into())
}

/// Digest of a branch, from a creation or from a registration. The branch lends its payload out meanwhile.
pub(super) fn of_branch(branch: &mut Branch) -> Digest {
    let payload = branch.payload.take();
    let mut hash = Sha256::new_with_prefix(b"trine branch 1\n");
    update(&mut hash, branch);
    hash.update(b"\n");
    hash.update(json::compact(payload.as_deref().map_or("null", RawValue::get)).as_bytes());
    branch.payload = payload;
    Digest(hash.finalize().into())
}

/// Digest of a workflow: of its name and input, which are the body of its callbacks. The callback's URL and delay are left out,
/// because another instance of the service may state others.
pub(super) fn of_workflow(callback_body: &[u8]) -> Digest {
    let mut hash = Sha256::new_with_prefix(b"trine workflow 1\n");
    hash.update(callback_body);
    Digest(hash.finalize().into())
}

fn update(hash: &mut Sha256, document: &impl Serialize) {
    // Documents of plain fields and string keys: writing one cannot fail.
    hash.update(serde_json::to_vec(document).unwrap_or_default());
}
