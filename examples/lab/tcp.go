//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gocarp/gocarp/internal/labnet"
)

const (
	tcpPort = 7008

	// dialTimeout is for what must work because nothing is broken.
	dialTimeout = 10 * time.Second
)

// serveTCP has a host send back what it receives, until what it returns is called.
func serveTCP(h *labnet.Host) (stop func() error, err error) {
	var l net.Listener
	if e := h.Do(func() { l, err = net.Listen("tcp4", fmt.Sprint(":", tcpPort)) }); e != nil || err != nil {
		return nil, errors.Join(e, err)
	}
	conns := make(chan net.Conn)
	done := make(chan struct{})
	go func() {
		defer close(conns)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
			conns <- c
		}
	}()
	go func() {
		defer close(done)
		var all []net.Conn
		for c := range conns {
			all = append(all, c)
		}
		for _, c := range all { // those whose clients are gone for good among them
			c.Close()
		}
	}()
	return func() error {
		err := l.Close()
		<-done
		return err
	}, nil
}

// dialTCP opens a session from one host to another.
func dialTCP(h *labnet.Host, addr string) (*session, error) {
	var c net.Conn
	var err error
	if e := h.Do(func() { c, err = net.DialTimeout("tcp4", fmt.Sprint(addr, ":", tcpPort), dialTimeout) }); e != nil || err != nil {
		return nil, errors.Join(e, err)
	}
	return newSession("TCP", c), nil
}
