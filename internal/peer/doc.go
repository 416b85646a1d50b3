// Package peer is a small private channel between two hosts that share a secret: calls
// with JSON in and JSON out, over HTTP and TLS 1.3, on the link between them.
//
// # Authentication
//
// Both hosts make the same Ed25519 key from the secret. Each shows a certificate of its
// own making for this key, and goes on only if the other one shows the same key and
// proves to have it, which TLS does. There are no certificate authorities, no names, no
// dates and no resumed sessions: what counts is the secret, and a host whose clock is
// wrong can still be reached. Nothing that was recorded can be sent again.
//
// Whoever can reach the port sees the public key, and can use it to try out secrets at
// home. Making the key is slow on purpose, but a secret that nobody can guess is
// better: 32 random octets, in base64 for example. A host that is connected to itself,
// by a wrong address or by somebody on the link, is told so ([ErrSelf]).
//
// # Usage
//
// [Open] checks a [Config]; [Channel.Run] listens until its context is done, and nothing
// is left after it returned. [Channel.Call] may be used from any goroutine, also while
// Run does not run. Handlers answer with [Reply] and [Fail], and read with [Decode].
//
// # Limits
//
// Each call has a connection of its own: none of them outlives a crash of the other
// host unnoticed. Bodies have at most [MaxBody] octets, a source at most 8 connections,
// all sources beside the peer 32 together, and a call takes at most [CallTimeout]. The
// interface may be absent, and may come back as another one of the same name.
package peer
