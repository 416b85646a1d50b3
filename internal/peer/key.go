package peer

import (
	"crypto/ed25519"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"time"
)

// MinSecret is the least length of a secret, in octets.
const MinSecret = 16

const (
	// rounds make each guess at a secret cost about a tenth of a second of a processor.
	rounds = 200_000

	// salt tells our keys from those that other programs make of the same secret.
	salt = "github.com/gocarp/gocarp/internal/peer 1"
)

// newIdentity makes the key of secret, and a certificate for it. Nobody looks at its
// dates.
func newIdentity(secret []byte) (tls.Certificate, error) {
	seed, err := pbkdf2.Key(sha256.New, string(secret), []byte(salt), rounds, ed25519.SeedSize)
	if err != nil {
		return tls.Certificate{}, err
	}
	key := ed25519.NewKeyFromSeed(seed)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// tlsConfig is what both ends of a connection go by.
func tlsConfig(id tls.Certificate) *tls.Config {
	want := id.PrivateKey.(ed25519.PrivateKey).Public().(ed25519.PublicKey)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{id},
		NextProtos:   []string{"http/1.1"},

		// There is nothing to look up: VerifyConnection demands the one right key, and
		// TLS that the other side can sign with it.
		InsecureSkipVerify: true,
		ClientAuth:         tls.RequireAnyClientCert,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || !want.Equal(s.PeerCertificates[0].PublicKey) {
				return ErrAuth
			}
			return nil
		},
		SessionTicketsDisabled: true,
	}
}
