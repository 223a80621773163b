"""The sentences that the writers make themselves, in each language; what a pipeline says is written as it said it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from dicom_node.objects.profile import Language


@dataclass(frozen=True)
class Wording:
    """One language's catalogue; braces name what is put in.

    Parameters
    ----------
    terms
        Code meanings as they stand in the picture; one that is missing keeps its English meaning.
    """

    research: str
    made_by: str
    series_used: str
    series_unused: str
    not_analysed: str
    nothing_found: str
    marks: str
    measured: str
    place: str
    rule: str
    uncertainty: str
    remark: str
    earlier: str
    mended: str
    note: str
    replaces: str
    prior: str
    unknown_date: str
    whole_study: str
    image: str
    earlier_image: str
    label: str
    earlier_label: str
    derived: str
    more: str
    none_shown: str
    no_description: str
    terms: Mapping[str, str] = field(default_factory=dict)

    def term(self, meaning: str) -> str:
        """A code's meaning in this language."""
        return self.terms.get(meaning, meaning)


_EN = Wording(
    research="AI, research use, not for primary diagnosis",
    made_by="Made by {model} {version} (sha256 {sha256}, precision {precision}), "
    "pipeline {pipeline} {pipeline_version}",
    series_used="Analysed: series {number} ({description}), {count} images. {analysed}",
    series_unused="Series not used: {message} [{uid}]",
    not_analysed="NOT ANALYSED. {message}",
    nothing_found="No mark above threshold by {model} {version}. This does not exclude disease.",
    marks="Marks above threshold by {model} {version}: {count}. Disease without a mark is not excluded.",
    measured="Structures measured by {model} {version}: {count}. A size alone neither shows nor excludes disease.",
    place="{name}: {place}",
    rule="{name}, {concept} = {value}: {rule}",
    uncertainty="{name}, measurement uncertainty: {errors}",
    remark="{name}: {note}",
    earlier="{name} in the earlier examination, slice {slice}: {words}",
    mended="Header mended in the copy: {note}",
    note="Note: {note}",
    replaces="Replaces the earlier report {uid}",
    prior="Earlier examination at hand: {date}, series {number} ({description}), {count} images [{uid}]",
    unknown_date="date unknown",
    whole_study="whole study",
    image="series {series}, image {image} (slice {slice} of {count})",
    earlier_image="earlier examination: {date}, slice {slice} of {count}",
    label="{number}  {kind}: {place}",
    earlier_label="{number}  {words}",
    derived="{derivation} {name}",
    more="Further findings, in the report but not in this picture: {count}",
    none_shown="no image shown",
    no_description="no description",
    terms=MappingProxyType({"Long Axis": "long axis", "Short Axis": "short axis", "Diameter": "diameter",
                            "Mean": "mean", "Volume": "volume", "Attenuation Coefficient": "attenuation",
                            "Certainty of Finding": "certainty", "Solid component size": "solid component",
                            "Maximum 3D Diameter of a Mesh": "largest extent"}),
)  # fmt: skip

_ZH = Wording(
    research="AI 结果，仅供科研使用，不作为主要诊断依据",
    made_by="由 {model} {version} 生成（sha256 {sha256}，精度 {precision}），流程 {pipeline} {pipeline_version}",
    series_used="已分析：序列 {number}（{description}），{count} 幅图像。{analysed}",
    series_unused="未使用的序列：{message} [{uid}]",
    not_analysed="未分析。{message}",
    nothing_found="{model} {version} 无高于阈值的标记。不能排除病变。",
    marks="{model} {version} 给出 {count} 处高于阈值的标记。无标记之处不能排除病变。",
    measured="由 {model} {version} 测量的结构：{count} 个。仅凭大小既不能显示也不能排除病变。",
    place="{name}：{place}",
    rule="{name}，{concept} = {value}：{rule}",
    uncertainty="{name}，测量不确定度：{errors}",
    remark="{name}：{note}",
    earlier="{name} 在既往检查中（第 {slice} 层）：{words}",
    mended="副本中修正的文件头：{note}",
    note="备注：{note}",
    replaces="替代先前的报告 {uid}",
    prior="可供对比的既往检查：{date}，序列 {number}（{description}），{count} 幅图像 [{uid}]",
    unknown_date="日期未知",
    whole_study="整个检查",
    image="序列 {series}，图像 {image}（第 {slice} 层，共 {count} 层）",
    earlier_image="既往检查：{date}，第 {slice} 层，共 {count} 层",
    label="{number}  {kind}：{place}",
    earlier_label="{number}  {words}",
    derived="{derivation}{name}",
    more="另有 {count} 处发现见报告，本图未显示",
    none_shown="无图像",
    no_description="无描述",
    terms=MappingProxyType({"Nodule": "结节", "Long Axis": "长径", "Short Axis": "短径", "Diameter": "直径",
                            "Mean": "平均", "Volume": "体积", "Attenuation Coefficient": "CT 值",
                            "Certainty of Finding": "置信度", "Lung": "肺", "Right": "右", "Left": "左",
                            "Upper lobe of lung": "肺上叶", "Lower lobe of lung": "肺下叶",
                            "Middle lobe of right lung": "右肺中叶", "Hippocampus": "海马",
                            "Maximum 3D Diameter of a Mesh": "最大径", "Solid component size": "实性成分大小",
                            "Mean diameter in the plane that shows most": "最大平面平均直径",
                            "Volume of the solid part": "实性成分体积", "Probability of cancer": "恶性概率",
                            "Agreement with readers' rating: suspicious": "与阅片者可疑评分的一致性",
                            "Change of volume since the earlier CT": "与既往 CT 相比的体积变化",
                            "Volume doubling time": "体积倍增时间", "Composition": "密度类型", "solid": "实性",
                            "part-solid": "部分实性", "ground glass": "磨玻璃", "Description of Change": "变化",
                            "New": "新发", "Increased": "增大", "No change": "无变化", "Decreased": "缩小"}),
)  # fmt: skip


def wording(language: Language) -> Wording:
    """The catalogue of a language."""
    return {Language.EN: _EN, Language.ZH: _ZH}[language]
