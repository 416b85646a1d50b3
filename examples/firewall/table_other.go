//go:build !linux

package main

func (h *host) openMirror() (mirror, error) { return nil, errSystem }

func stateWarnings() []string { return nil }
