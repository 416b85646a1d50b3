package peer

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	dialTimeout = 3 * time.Second

	// instanceHeader says who calls, so that a host knows itself.
	instanceHeader = "Gocarp-Instance"
)

// newClient makes the client of the one server there is.
func (c *Channel) newClient() *http.Client {
	return &http.Client{
		Timeout:       CallTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
			TLSClientConfig:        c.tls,
			TLSHandshakeTimeout:    headerTimeout,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 8 << 10,
		},
	}
}

// Call has the peer do something: method and path are those of HTTP, as GET and
// "/v1/status". What in points to is sent as JSON, and the answer is decoded into what
// out points to; nil means that there is none, or that it is of no interest.
//
// If the peer's handler fails, the error is an [*Error] with what it said. Other errors
// match [ErrUnreachable], [ErrAuth] or [ErrSelf]; the end of ctx matches its own error,
// too.
func (c *Channel) Call(ctx context.Context, method, path string, in, out any) error {
	if err := c.call(ctx, method, path, in, out); err != nil {
		return fmt.Errorf("peer %s: %w", c.config.Peer, err)
	}
	return nil
}

func (c *Channel) call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
		if len(body) > MaxBody {
			return fmt.Errorf("%s %s: %d octets are more than the %d that fit", method, path, len(body), MaxBody)
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "https://peer"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set(instanceHeader, c.instance)
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.client.Do(r)
	if err != nil {
		return unreachable(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, MaxBody+1))
	switch {
	case err != nil:
		return unreachable(err)
	case len(b) > MaxBody:
		return fmt.Errorf("the answer to %s %s has more than %d octets", method, path, MaxBody)
	case answer.StatusCode != http.StatusOK:
		return failure(answer, b)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("the answer to %s %s: %w", method, path, err)
	}
	return nil
}

// unreachable says why there was no answer.
func unreachable(err error) error {
	if errors.Is(err, ErrAuth) {
		return ErrAuth
	}
	if u, ok := errors.AsType[*url.Error](err); ok { // it repeats the request
		err = u.Err
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// failure is what the peer said instead of an answer.
func failure(answer *http.Response, body []byte) error {
	if answer.StatusCode == http.StatusLoopDetected {
		return ErrSelf
	}
	var f failed
	if json.Unmarshal(body, &f) != nil { // not one of our handlers
		f.Error = strings.TrimSpace(string(body[:min(len(body), 200)]))
	}
	return &Error{answer.StatusCode, cmp.Or(f.Error, answer.Status)}
}
