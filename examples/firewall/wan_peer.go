package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gocarp/gocarp/internal/peer"
)

const (
	wanPath = "/v1/wan/down"

	// wanCallTimeout is how long a question may take: the peer answers within
	// wanHold, and a link that loses a packet needs a moment.
	wanCallTimeout = 900 * time.Millisecond

	// wanHold is how long an interface that is on its way down may take before the
	// peer is told to ask again.
	wanHold = 400 * time.Millisecond
)

// A wanQuestion is that of a host which wants its WAN interface up: is yours down?
type wanQuestion struct {
	From uint32 `json:"from"`
	Up   bool   `json:"up"` // it is up already
}

// A wanReply is the answer.
type wanReply struct {
	Answer wanAnswer `json:"answer"`
}

func (a wanAnswer) MarshalText() ([]byte, error) {
	return []byte([...]string{"", "down", "up", "later"}[a]), nil
}

func (a *wanAnswer) UnmarshalText(b []byte) error {
	switch string(b) {
	case "down":
		*a = wanGranted
	case "up":
		*a = wanRefused
	case "later":
		*a = wanLater
	default:
		return fmt.Errorf("%q is no answer about the WAN", b)
	}
	return nil
}

// ask asks the peer. Whatever is no answer counts as none, and is logged once.
func (w *wan) ask(ctx context.Context, up bool) wanAnswer {
	ctx, cancel := context.WithTimeout(ctx, wanCallTimeout)
	defer cancel()
	var r wanReply
	err := w.h.peerCall(ctx, http.MethodPost, wanPath, wanQuestion{w.m.id, up}, &r)
	if err != nil {
		text := err.Error()
		if last := w.trouble.Swap(&text); ctx.Err() != context.Canceled && (last == nil || *last != text) {
			w.h.log.Warn("firewall: wan: the peer does not say whether its interface is down", "err", err)
		}
		return wanNoAnswer
	}
	w.trouble.Store(nil)
	return r.Answer
}

// errNoWAN is the answer to a peer that asks about an interface that we do not have.
var errNoWAN = errors.New("there is no [wan] in " + settingsFile + " here, or it is not looked after yet")

// handleWAN answers the peer.
func (h *host) handleWAN(mux *http.ServeMux) {
	mux.HandleFunc("POST "+wanPath, func(rw http.ResponseWriter, r *http.Request) {
		var q wanQuestion
		if err := peer.Decode(r, &q); err != nil {
			peer.Fail(rw, http.StatusBadRequest, err)
			return
		}
		w := h.wan.Load()
		if w == nil {
			peer.Fail(rw, http.StatusNotFound, errNoWAN)
			return
		}
		peer.Reply(rw, wanReply{w.answer(r.Context(), q)})
	})
}

// answer answers the peer's question, if it can, after the interface is down.
func (w *wan) answer(ctx context.Context, q wanQuestion) wanAnswer {
	msg := wanMessage{wanEvent: wanEvent{kind: wanAsked, from: q.From, up: q.Up}, reply: make(chan wanAnswer, 1)}
	for end := time.Now().Add(wanHold); ; time.Sleep(2 * time.Millisecond) {
		answer := wanLater
		select {
		case w.events <- msg:
			answer = <-msg.reply
		case <-w.ended:
			return w.last()
		case <-ctx.Done():
		}
		if answer != wanLater || ctx.Err() != nil || time.Now().After(end) {
			return answer
		}
	}
}

// last is the answer of a machine that has ended: it has brought its interface down, or
// it could not.
func (w *wan) last() wanAnswer {
	if w.now.Load().State == wanDown.String() {
		return wanGranted
	}
	return wanLater
}
