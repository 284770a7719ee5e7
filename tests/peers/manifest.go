// Judges a manifest with Go's own reading of the formats: golang.org/x/mod/sumdb/note and tlog.
//
//	manifest folder KEY FOLDER   signature, every tile and entry, proofs between two sizes
//	manifest proof KEY FILE      a .tlog-proof with an entry in it
package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8 // levels of the tree in one tile

// checkpoint opens a signed note and reads the tree in it.
func checkpoint(data []byte, key string) tlog.Tree {
	verifier := must(note.NewVerifier(key))
	opened := must(note.Open(data, note.VerifierList(verifier)))
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != verifier.Name() {
		log.Fatalf("of %s, not of %s", lines[0], verifier.Name())
	}
	return tlog.Tree{N: must(strconv.ParseInt(lines[1], 10, 64)), Hash: must(tlog.ParseHash(lines[2]))}
}

// tiles reads the tiles of a folder; C2SP leaves the height out of their names.
type tiles struct{ folder string }

func (t tiles) Height() int                         { return height }
func (t tiles) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		data, err := os.ReadFile(filepath.Join(t.folder, name(tile)))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func name(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
}

// entries reads every bundle: each entry after its length in two bytes.
func entries(folder string, size int64) [][]byte {
	var all [][]byte
	for first := int64(0); first < size; first += 1 << height {
		tile := tlog.Tile{H: height, L: 0, N: first >> height, W: 1 << height}
		if size-first < 1<<height {
			tile.W = int(size - first)
		}
		path := strings.Replace(name(tile), "tile/0/", "tile/entries/", 1)
		for data := must(os.ReadFile(filepath.Join(folder, path))); len(data) > 0; {
			end := 2 + int(binary.BigEndian.Uint16(data))
			all = append(all, data[2:end])
			data = data[end:]
		}
	}
	return all
}

func folder(key, path string) {
	tree := checkpoint(must(os.ReadFile(filepath.Join(path, "checkpoint"))), key)
	hashes := tlog.TileHashReader(tree, tiles{path}) // refuses tiles that the root does not have
	all := entries(path, tree.N)
	if int64(len(all)) != tree.N {
		log.Fatalf("%d entries, not %d", len(all), tree.N)
	}
	for index, entry := range all {
		number := int64(index)
		stored := must(hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, number)}))
		if stored[0] != tlog.RecordHash(entry) {
			log.Fatalf("entry %d is not that of its tile", index)
		}
		proof := must(tlog.ProveRecord(tree.N, number, hashes))
		check(tlog.CheckRecord(proof, tree.N, tree.Hash, number, stored[0]))
		old := number + 1
		before := must(tlog.TreeHash(old, hashes))
		consistent := must(tlog.ProveTree(tree.N, old, hashes))
		check(tlog.CheckTree(consistent, tree.N, tree.Hash, old, before))
	}
	fmt.Println(tree.N, "entries")
}

func proof(key, path string) {
	head, signed, _ := strings.Cut(string(must(os.ReadFile(path))), "\n\n")
	tree := checkpoint([]byte(signed), key)
	lines := strings.Split(head, "\n")
	if lines[0] != "c2sp.org/tlog-proof@v1" {
		log.Fatal("no proof")
	}
	var told struct{ Entry json.RawMessage } // the bytes as they stand there
	extra := strings.TrimPrefix(lines[1], "extra ")
	check(json.Unmarshal(must(base64.StdEncoding.DecodeString(extra)), &told))
	index := must(strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64))
	var steps tlog.RecordProof
	for _, line := range lines[3:] {
		steps = append(steps, must(tlog.ParseHash(line)))
	}
	check(tlog.CheckRecord(steps, tree.N, tree.Hash, index, tlog.RecordHash(told.Entry)))
	fmt.Println("entry", index, "of", tree.N)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("folder|proof KEY PATH")
	}
	map[string]func(string, string){"folder": folder, "proof": proof}[os.Args[1]](os.Args[2], os.Args[3])
}
