//! TLS: whom a coordinator trusts, and what it says when it does not.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::*;

/// An authority of our own, and a certificate it gave to 127.0.0.1 with its key; all in PEM.
fn certificates() -> (String, String, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
    let server = server.signed_by(&key, &issuer).unwrap();
    (authority_certificate.pem(), server.pem(), key.serialize_pem())
}

/// Runs itself in a process whose environment names the authority, as an operator gives it.
#[tokio::test]
async fn an_authority_given_in_the_environment_is_trusted() {
    const TARGET: &str = "DISPATCH_TEST_GRPC_TARGET";
    if let Ok(target) = std::env::var(TARGET) {
        let answer = answer_of(&caller(), call(&target)).await;
        assert_eq!(answer.outcome, done(MESSAGE), "{answer:?}");
        return;
    }
    // Whichever test is first in this process.
    drop(caller());
    let (authority, certificate, key) = certificates();
    let server =
        GrpcServer::start_with_tls(&certificate, &key, async |request| ok(request.into_inner())).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, authority).unwrap();
    let module = module_path!().split_once("::").unwrap().1;
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .env("SSL_CERT_FILE", file)
        .env(TARGET, server.target("Reserve"))
        .args(["--exact", &format!("{module}::an_authority_given_in_the_environment_is_trusted")])
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");

    let answer = answer_of(&caller(), call(&server.target("Reserve"))).await;
    assert_eq!((&answer.outcome, answer.report.status_code), (&Outcome::Unknown, None));
    assert!(error_of(&answer).starts_with("no trusted TLS connection to 127.0.0.1:"), "{answer:?}");
}

#[tokio::test]
async fn plain_grpc_behind_grpcs_is_unknown_and_says_so() {
    let server = GrpcServer::start(async |_| ok("")).await;
    let answer = answer_of(&caller(), call(&format!("grpcs://{}/a.B/C", server.host))).await;
    assert_eq!(answer.outcome, Outcome::Unknown);
    assert!(error_of(&answer).contains("TLS"), "{answer:?}");
}
