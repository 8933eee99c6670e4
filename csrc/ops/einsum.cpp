// csrc/ops/einsum.cpp -- Einstein summation: subscripts become transposes, products of matrices and sums
#include <algorithm>
#include <cctype>
#include <map>

#include "ops/common.h"

namespace nhwc {
namespace {

// A label is a letter, or for the axes behind an ellipsis a number from kEllipsis up, counted from the last axis.
using Label = int;
constexpr Label kEllipsis = 256;
using Labels = std::vector<Label>;

struct Term {
  Array a;
  Labels labels;  // one per axis, none twice
};

bool has(const Labels& labels, Label l) { return std::find(labels.begin(), labels.end(), l) != labels.end(); }

int axis_of(const Labels& labels, Label l) {
  return static_cast<int>(std::find(labels.begin(), labels.end(), l) - labels.begin());
}

// The subscripts of one operand; an ellipsis stands for `extra` axes.
Labels parse(const std::string& text, int extra, const std::string& whole) {
  Labels out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (std::isalpha(static_cast<unsigned char>(text[i]))) {
      out.push_back(text[i]);
    } else if (text.compare(i, 3, "...") == 0) {
      for (int k = extra; k-- > 0;) out.push_back(kEllipsis + k);
      i += 2;
    } else {
      raise<ValueError>("[einsum] subscripts \"", whole, "\" contain '", text[i], "'; expected letters, commas, ... and ->");
    }
  }
  return out;
}

int letters_in(const std::string& text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](unsigned char c) { return std::isalpha(c); }));
}

std::vector<std::string> split_commas(const std::string& s) {
  std::vector<std::string> out(1);
  for (char c : s) {
    if (c == ',') out.emplace_back();
    else out.back() += c;
  }
  return out;
}

// A label that stands twice in one operand takes its diagonal.
Term without_repeats(Array a, Labels labels) {
  for (size_t i = 0; i < labels.size(); ++i) {
    for (size_t j = i + 1; j < labels.size();) {
      if (labels[j] != labels[i]) {
        ++j;
        continue;
      }
      if (a.shape()[i] != a.shape()[j])
        raise<ValueError>("[einsum] a subscript that stands twice names sizes ", a.shape()[i], " and ", a.shape()[j], "; they must be equal");
      a = moveaxis(diagonal(a, 0, static_cast<int>(i), static_cast<int>(j)), -1, static_cast<int>(i));
      labels.erase(labels.begin() + j);
    }
  }
  return {a, labels};
}

Term sum_out(const Term& t, const Labels& keep) {
  Labels rest;
  std::vector<int> gone;
  for (size_t i = 0; i < t.labels.size(); ++i) {
    if (has(keep, t.labels[i])) rest.push_back(t.labels[i]);
    else gone.push_back(static_cast<int>(i));
  }
  if (gone.empty()) return t;
  return {astype(sum(t.a, gone), t.a.dtype()), rest};
}

// The operand's axes as (batch..., rows..., columns...) flattened to three; missing batch axes get size 1 first.
Array as_batched_matrix(const Term& t, const Labels& batch, const Labels& rows, const Labels& columns, const std::map<Label, int64_t>& size) {
  std::vector<int> order;
  Shape wide;
  Dims flat;
  int64_t counts[3] = {1, 1, 1};
  const Labels* parts[3] = {&batch, &rows, &columns};
  for (int p = 0; p < 3; ++p)
    for (Label l : *parts[p]) {
      order.push_back(axis_of(t.labels, l));
      wide.push_back(size.at(l));
      counts[p] *= size.at(l);
    }
  return reshape(broadcast_to(transpose(t.a, order), wide), {counts[0], counts[1], counts[2]});
}

// Two terms into one by a batched matrix product; labels in neither `keep` are summed.
Term contract(const Term& x, const Term& y, const Labels& keep, const std::map<Label, int64_t>& size) {
  auto wanted_with = [&](const Labels& other) {
    Labels k = keep;
    k.insert(k.end(), other.begin(), other.end());
    return k;
  };
  const Term a = sum_out(x, wanted_with(y.labels)), b = sum_out(y, wanted_with(x.labels));
  Labels batch, inner, rows, columns;
  for (Label l : a.labels) {
    if (!has(b.labels, l)) rows.push_back(l);
    else if (has(keep, l)) batch.push_back(l);
    else inner.push_back(l);
  }
  for (Label l : b.labels)
    if (!has(a.labels, l)) columns.push_back(l);
  const Array product = matmul(as_batched_matrix(a, batch, rows, inner, size), as_batched_matrix(b, batch, inner, columns, size));
  Labels labels = batch;
  labels.insert(labels.end(), rows.begin(), rows.end());
  labels.insert(labels.end(), columns.begin(), columns.end());
  Shape shape;
  for (Label l : labels) shape.push_back(size.at(l));
  return {reshape(product, shape), labels};
}

struct Parsed {
  std::vector<Labels> inputs;
  Labels output;
};

Parsed parse_all(const std::string& subscripts, const Arrays& operands) {
  std::string text;
  for (char c : subscripts)
    if (c != ' ') text += c;
  const size_t arrow = text.find("->");
  const std::vector<std::string> parts = split_commas(text.substr(0, arrow));
  if (parts.size() != operands.size())
    raise<ValueError>("[einsum] subscripts \"", subscripts, "\" name ", parts.size(), " operands, got ", operands.size());
  Parsed p;
  int most = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool dots = parts[i].find("...") != std::string::npos;
    const int letters = letters_in(parts[i]), extra = operands[i].ndim() - letters;
    if (extra < 0 || (extra > 0 && !dots))
      raise<ValueError>("[einsum] subscripts \"", parts[i], "\" name ", letters, " axes of an array of shape ", to_string(operands[i].shape()));
    most = std::max(most, dots ? extra : 0);
    p.inputs.push_back(parse(parts[i], extra, subscripts));
  }
  if (arrow != std::string::npos) {
    p.output = parse(text.substr(arrow + 2), most, subscripts);
    return p;
  }
  // Implicit: the ellipsis, then every letter that stands once, in alphabetical order.
  std::map<Label, int> count;
  for (const Labels& labels : p.inputs)
    for (Label l : labels) ++count[l];
  for (int k = most; k-- > 0;) p.output.push_back(kEllipsis + k);
  for (const auto& [l, n] : count)
    if (l < kEllipsis && n == 1) p.output.push_back(l);
  return p;
}

std::map<Label, int64_t> label_sizes(const std::vector<Term>& terms) {
  std::map<Label, int64_t> size;
  for (const Term& t : terms)
    for (size_t i = 0; i < t.labels.size(); ++i) {
      auto [it, fresh] = size.emplace(t.labels[i], t.a.shape()[i]);
      if (fresh || it->second == t.a.shape()[i] || t.a.shape()[i] == 1) continue;
      if (it->second != 1)
        raise<ValueError>("[einsum] one subscript names axes of sizes ", it->second, " and ", t.a.shape()[i], "; they must be equal");
      it->second = t.a.shape()[i];
    }
  return size;
}

// Sizes of 1 stretch to what the label has elsewhere.
void stretch(std::vector<Term>& terms, const std::map<Label, int64_t>& size) {
  for (Term& t : terms) {
    Shape s;
    for (Label l : t.labels) s.push_back(size.at(l));
    t.a = broadcast_to(t.a, s);
  }
}

}  // namespace

Array einsum(const std::string& subscripts, const Arrays& operands) {
  if (operands.empty()) raise<ValueError>("[einsum] got no operands; expected at least one");
  const Parsed p = parse_all(subscripts, operands);
  const Dtype t = result_type(operands);
  const Dtype compute = to_floating(t);
  std::vector<Term> terms;
  for (size_t i = 0; i < operands.size(); ++i) terms.push_back(without_repeats(astype(operands[i], compute), p.inputs[i]));
  const std::map<Label, int64_t> size = label_sizes(terms);
  for (size_t i = 0; i < p.output.size(); ++i)
    if (!size.count(p.output[i]) || std::count(p.output.begin(), p.output.end(), p.output[i]) > 1)
      raise<ValueError>("[einsum] the output of \"", subscripts, "\" names a subscript that no operand has, or one twice");
  stretch(terms, size);
  while (terms.size() > 1) {
    Labels keep = p.output;  // and whatever a later operand still needs
    for (size_t i = 2; i < terms.size(); ++i) keep.insert(keep.end(), terms[i].labels.begin(), terms[i].labels.end());
    Term both = contract(terms[0], terms[1], keep, size);
    terms.erase(terms.begin());
    terms[0] = std::move(both);
  }
  const Term r = sum_out(terms[0], p.output);
  std::vector<int> order;
  for (Label l : p.output) order.push_back(axis_of(r.labels, l));
  return astype(transpose(r.a, order), t);
}

}  // namespace nhwc
