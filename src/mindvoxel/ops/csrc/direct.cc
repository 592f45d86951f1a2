#include <unordered_map>

#include "arena.h"
#include "convolution.h"
#include "layout.h"
#include "port.h"

namespace mindvoxel {
namespace {

struct Plain {
  using Fwd = dnnl::convolution_forward;
  using BwdData = dnnl::convolution_backward_data;
  using BwdWeights = dnnl::convolution_backward_weights;
  static constexpr auto kAlgorithm = dnnl::algorithm::convolution_direct;
};

struct Transposed {
  using Fwd = dnnl::deconvolution_forward;
  using BwdData = dnnl::deconvolution_backward_data;
  using BwdWeights = dnnl::deconvolution_backward_weights;
  static constexpr auto kAlgorithm = dnnl::algorithm::deconvolution_direct;
};

using Args = std::unordered_map<int, memory>;

Type FactorType(const Case &c) { return c.precision == Precision::kBf16 ? Type::bf16 : Type::f32; }

Desc BiasDesc(const Case &c) { return c.has_bias ? Desc({c.dst[1]}, Type::f32, memory::format_tag::x) : Desc(); }

Desc WeightsDesc(const Case &c) { return c.transposed ? SwappedWeights(c.weights) : PlainDesc(c.weights, Type::f32); }

void Execute(const dnnl::primitive &primitive, const Desc &scratchpad, Args args) {
  args[DNNL_ARG_SCRATCHPAD] = Arena::Get().Take(scratchpad);
  primitive.execute(Stream(), args);
}

template <class Family>
typename Family::Fwd::primitive_desc Hint(const Case &c) {
  const Type type = FactorType(c);
  return ForwardDesc<typename Family::Fwd>(Family::kAlgorithm, AnyDesc(c.src, type), AnyDesc(c.weights, type), Desc(),
                                           AnyDesc(c.dst, type), c.window);
}

template <class Family>
class DirectForward : public Forward {
 public:
  explicit DirectForward(const Case &c)
      : desc_(Describe(c)),
        primitive_(desc_),
        src_(SrcDesc(c), desc_.src_desc()),
        weights_(WeightsDesc(c), desc_.weights_desc(), c.keeps_weights),
        bias_(BiasDesc(c)),
        dst_(DstDesc(c), desc_.dst_desc()) {}

  void Run(Source src, const float *weights, const float *bias, float *dst) override {
    Arena::Scope scope;
    const memory room = dst_.Room(dst);
    Args args{{DNNL_ARG_SRC, src_.Bring(src.first)}, {DNNL_ARG_WEIGHTS, weights_.Bring(weights)}, {DNNL_ARG_DST, room}};
    if (bias != nullptr) args[DNNL_ARG_BIAS] = memory(bias_, Engine(), const_cast<float *>(bias));
    Execute(primitive_, desc_.scratchpad_desc(), args);
    dst_.Deliver(room, dst);
  }

 private:
  using Fwd = typename Family::Fwd;
  static typename Fwd::primitive_desc Describe(const Case &c) {
    const Type type = FactorType(c);
    return ForwardDesc<Fwd>(Family::kAlgorithm, ComputeDesc(c, Pass::kForward, c.src, type), AnyDesc(c.weights, type),
                            BiasDesc(c), ComputeDesc(c, Pass::kForward, c.dst, Type::f32), c.window);
  }

  typename Fwd::primitive_desc desc_;
  Fwd primitive_;
  Input src_;
  Weights weights_;
  Desc bias_;
  Output dst_;
};

template <class Family>
class DirectData {
 public:
  explicit DirectData(const Case &c)
      : desc_(Describe(c)),
        primitive_(desc_),
        diff_dst(DstDesc(c), desc_.diff_dst_desc()),
        weights_(WeightsDesc(c), desc_.weights_desc()),
        diff_src_(SrcDesc(c), desc_.diff_src_desc()) {}

  void Run(const float *weights, const memory &gradient, float *diff_src) const {
    Arena::Scope scope;
    const memory room = diff_src_.Room(diff_src);
    Execute(primitive_, desc_.scratchpad_desc(),
            {{DNNL_ARG_DIFF_DST, gradient}, {DNNL_ARG_WEIGHTS, weights_.Bring(weights)}, {DNNL_ARG_DIFF_SRC, room}});
    diff_src_.Deliver(room, diff_src);
  }

 private:
  using Bwd = typename Family::BwdData;
  static typename Bwd::primitive_desc Describe(const Case &c) {
    const Type type = FactorType(c);
    return BackwardDataDesc<Bwd>(Family::kAlgorithm, ComputeDesc(c, Pass::kData, c.src, Type::f32),
                                 AnyDesc(c.weights, type), ComputeDesc(c, Pass::kData, c.dst, type), c.window,
                                 Hint<Family>(c));
  }

  typename Bwd::primitive_desc desc_;
  Bwd primitive_;

 public:
  Input diff_dst;  // public: it may be shared with the weights' gradient

 private:
  Input weights_;
  Output diff_src_;
};

template <class Family>
class DirectWeights {
 public:
  explicit DirectWeights(const Case &c)
      : desc_(Describe(c)),
        primitive_(desc_),
        diff_dst(DstDesc(c), desc_.diff_dst_desc()),
        src_(SrcDesc(c), desc_.src_desc()),
        bias_(BiasDesc(c)),
        diff_weights_(WeightsDesc(c), desc_.diff_weights_desc()) {}

  void Run(const float *src, const memory &gradient, float *diff_weights, float *diff_bias) const {
    Arena::Scope scope;
    const memory room = diff_weights_.Room(diff_weights);
    Args args{{DNNL_ARG_DIFF_DST, gradient}, {DNNL_ARG_SRC, src_.Bring(src)}, {DNNL_ARG_DIFF_WEIGHTS, room}};
    if (diff_bias != nullptr) args[DNNL_ARG_DIFF_BIAS] = memory(bias_, Engine(), diff_bias);
    Execute(primitive_, desc_.scratchpad_desc(), args);
    diff_weights_.Deliver(room, diff_weights);
  }

 private:
  using Bwd = typename Family::BwdWeights;
  static typename Bwd::primitive_desc Describe(const Case &c) {
    const Type type = FactorType(c);
    return BackwardWeightsDesc<Bwd>(Family::kAlgorithm, ComputeDesc(c, Pass::kWeights, c.src, type),
                                    AnyDesc(c.weights, Type::f32), BiasDesc(c),
                                    ComputeDesc(c, Pass::kWeights, c.dst, type), c.window, Hint<Family>(c));
  }

  typename Bwd::primitive_desc desc_;
  Bwd primitive_;

 public:
  Input diff_dst;

 private:
  Input src_;
  Desc bias_;
  Output diff_weights_;
};

// Both gradients, so that diff_dst is converted once where both parts want it in the same layout.
template <class Family>
class DirectBackward : public Backward {
 public:
  DirectBackward(const Case &c, bool data, bool weights) {
    if (data) data_.emplace(c);
    if (weights) weights_.emplace(c);
  }

  void Run(Source src, const float *weights, const float *diff_dst, const Gradients &out) override {
    Arena::Scope scope;
    memory gradient;
    if (data_) {
      gradient = data_->diff_dst.Bring(diff_dst);
      data_->Run(weights, gradient, out.src.first);
    }
    if (!weights_) return;
    const bool shared = data_ && data_->diff_dst.inner() == weights_->diff_dst.inner();
    if (!shared) gradient = weights_->diff_dst.Bring(diff_dst);
    weights_->Run(src.first, gradient, out.weights, out.bias);
  }

 private:
  std::optional<DirectData<Family>> data_;
  std::optional<DirectWeights<Family>> weights_;
};

}  // namespace

std::unique_ptr<Forward> MakeDirectForward(const Case &c) {
  if (c.transposed) return std::make_unique<DirectForward<Transposed>>(c);
  return std::make_unique<DirectForward<Plain>>(c);
}

std::unique_ptr<Backward> MakeDirectBackward(const Case &c, bool data, bool weights) {
  if (c.transposed) return std::make_unique<DirectBackward<Transposed>>(c, data, weights);
  return std::make_unique<DirectBackward<Plain>>(c, data, weights);
}

}  // namespace mindvoxel
